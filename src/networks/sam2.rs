//! SAM 2 as a network that follows the mask of a person through a video.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use image::{GrayImage, RgbImage};

use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::gpu::{Device, MemoryUse, Recorder, Tensor};
use crate::layers::{Loader, Precision};
use crate::location::Location;
use crate::models::registry;
use crate::models::sam2::choice::Mask;
use crate::models::sam2::config::Config;
use crate::models::sam2::neck::LEVELS;
use crate::models::sam2::prompt::Prompt;
use crate::models::sam2::tracker::Tracker;
use crate::models::sam2::{Sam2, spec::SAM2};
use crate::models::spec::Sizes;
use crate::networks::guide::{AGREED, agreement, confident, official, stretched};
use crate::networks::mask_prompts::{MaskGuide, MaskPrompt, MaskPrompts};
use crate::networks::patch::Samples;
use crate::networks::video_segmenter::VideoSegmenter;
use crate::preprocess::{Keypoint, NUM_KEYPOINTS, WholeBody};
use crate::video::Frames;
use crate::video::resize::{Filter, resize};
use crate::weights::checkpoint::Weights;

/// Frames that have nothing to do with those before, where Wan2.2's own preprocessing is followed, and how often these are prompted.
const CHUNK: usize = 400;
const KEYFRAMES: usize = 4;

/// Frames after which no more is remembered: prompted ones, and as many others as count.
const REHEARSED: usize = 24;

/// SAM 2 or 2.1 of any size, from its checkpoint: `.pt` or safetensors, in its original names or those of transformers. It is on the GPU from
/// the first video on.
#[derive(Debug)]
pub struct Sam2Masks {
    weights: Arc<Weights>,
    config: Config,
    precision: Precision,
    device: Device,
    loaded: Option<Loaded>,
    video: Option<Video>,
}

#[derive(Debug)]
struct Loaded {
    model: Sam2,
    rec: Recorder,
}

/// A video on its way.
#[derive(Debug)]
struct Video {
    frames: Frames,
    persons: Vec<WholeBody>,
    prompts: MaskPrompts,
    /// The next frame.
    index: usize,
    /// The frames that have to do with each other, and what is remembered of them.
    chunk: Range<usize>,
    tracker: Tracker,
    /// Of frames that were prompted before they were reached.
    ahead: BTreeMap<usize, Mask>,
}

impl Sam2Masks {
    /// Opens a checkpoint: a file, or a folder with one.
    ///
    /// # Errors
    /// [`Error::Weights`] where it is none, or not of a SAM 2 model.
    pub fn open(checkpoint: impl Into<Location>, device: &Device) -> Result<Self> {
        let weights = registry::open(checkpoint)?;
        if registry::model_of(&weights).is_none_or(|model| model.name != SAM2.name) {
            let message = format!("this is {}, where {} is wanted", registry::name_of(&weights), SAM2.name);
            return Err(Error::weights(weights.path(), message));
        }
        let config = Config::of(&weights)?;
        config.check()?;
        let (weights, device) = (Arc::new(weights), device.clone());
        Ok(Self { weights, config, precision: Precision::F16, device, loaded: None, video: None })
    }

    /// In which precision operands are stored. Default: [`Precision::F16`].
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// What masks of a video of any length take on the device, with the default prompts and as many by hand.
    ///
    /// # Errors
    /// [`Error::Weights`] where a tensor is missing or has another shape, and [`Error::Limits`] where the device cannot have it at all.
    pub fn gpu_memory(&self) -> Result<MemoryUse> {
        let dry = self.device.dry(self.device.limits().clone());
        self.on(&dry).rehearse()?;
        Ok(dry.memory_use())
    }

    fn on(&self, device: &Device) -> Self {
        Self { weights: self.weights.clone(), config: self.config.clone(), device: device.clone(), loaded: None, video: None, ..*self }
    }

    /// All that a video may take, on a [dry](Device::dry) device that it was opened on.
    pub(super) fn rehearse(&mut self) -> Result<()> {
        let frames = Frames::from_images(vec![RgbImage::new(16, 16); REHEARSED])?;
        let prompts = (0..MaskPrompts::default().max_memories / 2)
            .fold(MaskPrompts::new(), |prompts, index| prompts.frame(index, MaskPrompt::new().person(1.0, 1.0).person(2.0, 2.0)));
        let person = WholeBody::new(&[Keypoint { x: 8.0, y: 8.0, score: 1.0 }; NUM_KEYPOINTS])?;
        self.begin(&frames, &vec![person; REHEARSED], &prompts)?;
        (0..REHEARSED).try_for_each(|_| self.next_mask().map(drop))
    }

    fn load(&mut self) -> Result<()> {
        if self.loaded.is_some() {
            return Ok(());
        }
        if let Some(room) = self.device.room().filter(|_| self.device.rehearsal().is_none()) {
            let (needed, budget) = (self.gpu_memory()?.peak, room.saturating_sub(self.device.memory_use().current));
            if needed > budget {
                let what = self.weights.path().display();
                let message =
                    format!("{what} needs a memory budget of {needed} bytes; it is {budget}: raise it, or choose a smaller model");
                return Err(Error::memory(needed, budget, message));
            }
        }
        let model = Sam2::load(&Loader::new(&self.device, &self.weights, self.precision.of_floats()), &self.config)?;
        self.loaded = Some(Loaded { model, rec: Recorder::new(&self.device, Cancel::new()) });
        Ok(())
    }
}

impl VideoSegmenter for Sam2Masks {
    fn begin(&mut self, video: &Frames, persons: &[WholeBody], prompts: &MaskPrompts) -> Result<()> {
        prompts.check(video.num_frames())?;
        if persons.len() != video.num_frames() {
            return Err(Error::Input(format!("persons of {} frames, in a video of {}", persons.len(), video.num_frames())));
        }
        self.load()?;
        let tracker = Tracker::new(video.num_frames(), prompts.max_memories);
        let (frames, persons, prompts) = (video.clone(), persons.to_vec(), prompts.clone());
        self.video = Some(Video { frames, persons, prompts, index: 0, chunk: 0..0, tracker, ahead: BTreeMap::new() });
        Ok(())
    }

    fn next_mask(&mut self) -> Result<GrayImage> {
        let (Some(loaded), Some(video)) = (&mut self.loaded, &mut self.video) else {
            return Err(Error::Input("no video was begun".into()));
        };
        video.next(loaded)
    }
}

impl Loaded {
    /// A frame as the original shows it to the model, encoded.
    fn encode(&mut self, frame: &RgbImage) -> Result<[Tensor; LEVELS]> {
        let side = self.model.config().image_size;
        let samples = Samples { channels_last: true, ..Samples::IMAGENET };
        let shown = || Ok(samples.of(&resize(frame, side as u32, side as u32, Filter::Bicubic)?));
        let pixels = self.rec.upload_with(&[side, side, 3], shown)?;
        self.model.encode(&mut self.rec, &pixels)
    }
}

impl Video {
    fn next(&mut self, loaded: &mut Loaded) -> Result<GrayImage> {
        let (index, size) = (self.index, self.frames.size());
        if index >= self.frames.num_frames() {
            return Err(Error::Input("the masks of all frames were found".into()));
        }
        if index >= self.chunk.end {
            self.begin_chunk(loaded)?;
        }
        let mask = match self.ahead.remove(&index) {
            Some(mask) => Some(mask),
            None if self.tracker.is_prompted() => Some(self.follow(loaded)?),
            // Nobody is in this part of the video.
            None => None,
        };
        self.index += 1;
        Ok(mask.map_or_else(|| GrayImage::new(size.0, size.1), |mask| enlarged(&mask.logits, size)))
    }

    /// Prompts frames of the next ones that have to do with each other, before others are looked at.
    fn begin_chunk(&mut self, loaded: &mut Loaded) -> Result<()> {
        let length = match self.prompts.guide {
            MaskGuide::Confident => self.frames.num_frames(),
            MaskGuide::Official => CHUNK,
        };
        self.chunk = self.index..(self.index + length).min(self.frames.num_frames());
        self.tracker = Tracker::new(self.chunk.len(), self.prompts.max_memories);
        for index in self.keyframes() {
            let Some(prompt) = self.prompt(index, loaded) else { continue };
            let levels = loaded.encode(&self.frames.read(index)?)?;
            let Loaded { model, rec } = loaded;
            let mask = self.tracker.prompt(model, rec, index - self.chunk.start, &levels, &prompt)?;
            self.ahead.insert(index, mask);
        }
        Ok(())
    }

    /// Those that are prompted first: where nobody is in those that should be, the first in which somebody is.
    fn keyframes(&self) -> Vec<usize> {
        let step = (self.chunk.len() / KEYFRAMES).max(1);
        let is_said = |index: &usize| self.said(*index).is_some();
        let official: Vec<_> = match self.prompts.guide {
            MaskGuide::Official => self.chunk.clone().step_by(step).filter(is_said).collect(),
            MaskGuide::Confident => Vec::new(),
        };
        if official.is_empty() { self.chunk.clone().find(is_said).into_iter().collect() } else { official }
    }

    /// What is said of a frame: by hand, or else of the person in it.
    fn said(&self, index: usize) -> Option<MaskPrompt> {
        let person = &self.persons[index];
        self.prompts.by_hand.get(&index).cloned().or_else(|| match self.prompts.guide {
            MaskGuide::Official => official(person),
            MaskGuide::Confident => confident(person, self.frames.size()),
        })
    }

    fn prompt(&self, index: usize, loaded: &Loaded) -> Option<Prompt> {
        self.said(index).map(|prompt| stretched(&prompt, self.frames.size(), loaded.model.config().image_size))
    }

    /// The mask of the frame at hand by those of others, corrected by what is said of it.
    fn follow(&mut self, loaded: &mut Loaded) -> Result<Mask> {
        let (index, frame) = (self.index, self.index - self.chunk.start);
        let levels = loaded.encode(&self.frames.read(index)?)?;
        let prompt = self.prompt(index, loaded);
        let Loaded { model, rec } = loaded;
        let mask = self.tracker.track(model, rec, frame, &levels)?;
        let Some(prompt) = prompt else { return Ok(mask) };
        if self.prompts.by_hand.contains_key(&index) {
            return self.tracker.correct(model, rec, frame, &levels, (&prompt, &mask));
        }
        if self.prompts.guide == MaskGuide::Official {
            return Ok(mask);
        }
        let (side, size) = (4 * model.config().image_side(), model.config().image_size);
        let agrees = |mask: &Mask| agreement(&mask.logits, side, &prompt, size);
        let agreed = agrees(&mask);
        if agreed >= AGREED || agrees(&model.mask(rec, &levels, &prompt)?.0) <= agreed {
            return Ok(mask);
        }
        self.tracker.prompt(model, rec, frame, &levels, &prompt)
    }
}

/// White where logits, of a square, are above 0 at the size of a picture: between the middles of pixels.
fn enlarged(logits: &[f32], (width, height): (u32, u32)) -> GrayImage {
    let side = logits.len().isqrt();
    let between = |i: u32, of: u32| {
        let at = ((f64::from(i) + 0.5) * side as f64 / f64::from(of) - 0.5).max(0.0);
        (at as usize, (at as usize + 1).min(side - 1), at.fract() as f32)
    };
    let columns: Vec<_> = (0..width).map(|x| between(x, width)).collect();
    let mut pixels = Vec::with_capacity(width as usize * height as usize);
    for y in 0..height {
        let (upper, lower, down) = between(y, height);
        let row: Vec<f32> = (0..side).map(|x| logits[upper * side + x] * (1.0 - down) + logits[lower * side + x] * down).collect();
        let value = |&(left, right, across): &(usize, usize, f32)| row[left] * (1.0 - across) + row[right] * across;
        pixels.extend(columns.iter().map(|column| if value(column) > 0.0 { 255 } else { 0 }));
    }
    GrayImage::from_raw(width, height, pixels).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_cut_between_their_pixels() {
        let mask = enlarged(&[3.0, -1.0, 3.0, -1.0], (8, 2));
        assert_eq!(mask.as_raw()[..8], [255, 255, 255, 255, 255, 0, 0, 0]);
        assert_eq!(mask.dimensions(), (8, 2));
    }
}
