//! An object of a video, followed from frame to frame by what is remembered of others.

use std::collections::BTreeMap;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::models::sam2::Sam2;
use crate::models::sam2::choice::Mask;
use crate::models::sam2::memory_attention::Memories;
use crate::models::sam2::neck::LEVELS;
use crate::models::sam2::prompt::Prompt;
use crate::models::sam2::times::{OBJECTS, RECENT};
use crate::ops::copy::concat;
use crate::ops::lincomb::{add, lincomb};
use crate::ops::unary::{Function, unary};

/// How many frames are looked at where nothing else is said: as many as there are recent ones, and five prompted ones, which is what Wan2.2's
/// own preprocessing prompts at most.
pub const MEMORIES: usize = RECENT + 5;

/// A frame and the object in it.
#[derive(Debug)]
struct Remembered {
    /// [H * W, memory]
    places: Tensor,
    /// [hidden / memory, memory]
    object: Tensor,
}

/// What is remembered of a video. It is bounded, however long that is.
#[derive(Debug)]
pub struct Tracker {
    num_frames: usize,
    max_memories: usize,
    /// By frame.
    prompted: BTreeMap<usize, Remembered>,
    /// Others, likewise.
    recent: BTreeMap<usize, Remembered>,
}

impl Tracker {
    /// Of a video of so many frames. At most `max_memories` of them, 1 or more, are looked at for another one: those that were prompted, then the most
    /// recent ones.
    pub fn new(num_frames: usize, max_memories: usize) -> Self {
        Self { num_frames, max_memories: max_memories.max(1), prompted: BTreeMap::new(), recent: BTreeMap::new() }
    }

    /// Whether it was said of any frame where the object is.
    pub fn is_prompted(&self) -> bool {
        !self.prompted.is_empty()
    }

    /// The mask of what a prompt means in a frame, whatever is remembered of others. Frames may be prompted before they are reached.
    ///
    /// # Errors
    /// Those of [`Sam2::mask`].
    pub fn prompt(&mut self, model: &Sam2, rec: &mut Recorder, frame: usize, levels: &[Tensor; LEVELS], prompt: &Prompt) -> Result<Mask> {
        let (mask, object) = model.mask(rec, levels, prompt)?;
        self.keep_prompted(frame, remembered(model, rec, levels, &mask, &object, true)?);
        Ok(mask)
    }

    /// The mask of the object in a frame that nothing is said of. Frames come in their order.
    ///
    /// # Errors
    /// [`Error::Input`] where no frame was prompted; those of the device.
    pub fn track(&mut self, model: &Sam2, rec: &mut Recorder, frame: usize, levels: &[Tensor; LEVELS]) -> Result<Mask> {
        let seen = self.seen(model, rec, frame, levels)?;
        let (mask, object) = model.mask_in(rec, &seen, &Prompt::default(), None)?;
        self.recent.insert(frame, remembered(model, rec, levels, &mask, &object, false)?);
        self.recent.retain(|&other, _| other + OBJECTS > frame + 1);
        Ok(mask)
    }

    /// The mask of a frame whose mask was `earlier`, with what is said of it now. It counts as prompted from now on.
    ///
    /// # Errors
    /// As [`track`](Self::track).
    pub fn correct(
        &mut self,
        model: &Sam2,
        rec: &mut Recorder,
        frame: usize,
        levels: &[Tensor; LEVELS],
        (prompt, earlier): (&Prompt, &Mask),
    ) -> Result<Mask> {
        let seen = self.seen(model, rec, frame, levels)?;
        let (mask, object) = model.mask_in(rec, &seen, prompt, Some(earlier))?;
        self.keep_prompted(frame, remembered(model, rec, levels, &mask, &object, true)?);
        Ok(mask)
    }

    fn keep_prompted(&mut self, frame: usize, remembered: Remembered) {
        self.recent.remove(&frame);
        self.prompted.insert(frame, remembered);
        // No later frame is nearer to those before them.
        let before: Vec<usize> = self.prompted.range(..frame).rev().skip(self.most_prompted() - 1).map(|(&frame, _)| frame).collect();
        before.iter().for_each(|frame| drop(self.prompted.remove(frame)));
    }

    fn most_prompted(&self) -> usize {
        self.max_memories.saturating_sub(RECENT).max(1)
    }

    /// The prompted frames that are looked at: the nearest before, the nearest from there on, and who else is near.
    fn prompted_near(&self, frame: usize) -> Vec<usize> {
        let before = self.prompted.range(..frame).next_back().map(|(&frame, _)| frame);
        let after = self.prompted.range(frame..).next().map(|(&frame, _)| frame);
        let mut near: Vec<usize> = self.prompted.keys().copied().collect();
        near.sort_by_key(|&other| match Some(other) {
            other if other == before => (0, 0),
            other if other == after => (1, 0),
            _ => (2, other.abs_diff(frame)),
        });
        near.truncate(self.most_prompted());
        near
    }

    /// The levels of a frame, the coarsest in view of what is remembered.
    fn seen(&self, model: &Sam2, rec: &mut Recorder, frame: usize, levels: &[Tensor; LEVELS]) -> Result<[Tensor; LEVELS]> {
        let near = self.prompted_near(frame);
        if near.is_empty() {
            return Err(Error::Input("nothing was said of the object in any frame".into()));
        }
        let most_recent = RECENT.min(self.max_memories - near.len());
        let recent = (1..=most_recent).rev().filter_map(|age| Some((self.recent.get(&frame.checked_sub(age)?)?, Some(age))));
        let places: Vec<_> = near.iter().map(|frame| (&self.prompted[frame], None)).chain(recent).collect();
        let mut values: Vec<Tensor> = places.iter().map(|(remembered, _)| remembered.places.clone()).collect();
        let placed = values.iter().map(Tensor::rows).sum();
        let times = model.times();
        let mut keys = Vec::new();
        for (remembered, age) in places {
            keys.push(add(rec, &remembered.places, times.place(age))?);
        }
        if let Some([of_values, of_keys]) = self.objects(model, rec, frame)? {
            values.push(of_values);
            keys.push(of_keys);
        }
        let [values, keys] = [values, keys].map(|parts| concat(rec, &parts.iter().collect::<Vec<_>>()));
        let coarse = model.recall(rec, levels, Memories { values: &values?, keys: &keys?, placed })?;
        Ok([levels[0].clone(), levels[1].clone(), coarse])
    }

    /// Objects of frames before, and the same with when they were.
    fn objects(&self, model: &Sam2, rec: &mut Recorder, frame: usize) -> Result<Option<[Tensor; 2]>> {
        let prompted = self.prompted.range(..=frame).map(|(other, remembered)| (frame - other, remembered));
        let others = self.recent.range(..frame).rev().map(|(other, remembered)| (frame - other, remembered));
        let (ages, objects): (Vec<_>, Vec<_>) =
            prompted.chain(others.filter(|&(age, _)| age < OBJECTS.min(self.num_frames))).map(|(age, it)| (age, &it.object)).unzip();
        if objects.is_empty() {
            return Ok(None);
        }
        let values = concat(rec, &objects)?;
        let times = rec.upload(values.shape(), &model.times().objects(&ages, self.num_frames))?;
        let keys = add(rec, &values, &times)?;
        Ok(Some([values, keys]))
    }
}

fn remembered(
    model: &Sam2,
    rec: &mut Recorder,
    levels: &[Tensor; LEVELS],
    mask: &Mask,
    object: &Tensor,
    is_prompted: bool,
) -> Result<Remembered> {
    let memory = model.remember(rec, levels, mask, is_prompted)?;
    let object = object.reshape(&[object.len() / memory.cols(), memory.cols()]);
    Ok(Remembered { places: to_bf16(rec, &memory)?, object })
}

/// The nearest numbers of eight significant bits, which is how the original keeps memories. Adding and taking away so many times a number
/// leaves its upper bits (Veltkamp's splitting).
fn to_bf16(rec: &mut Recorder, x: &Tensor) -> Result<Tensor> {
    let large = unary(rec, x, Function::Affine(65537.0, 0.0))?;
    let rest = lincomb(rec, &[(1.0, &large), (-1.0, x)], DType::F32)?;
    lincomb(rec, &[(1.0, &large), (-1.0, &rest)], DType::F32)
}
