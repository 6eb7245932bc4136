//! How far a generation has come, on the host: enough to go on from there in another process or on another device.
//!
//! A file of it is safetensors: tensors `slot_N` (what the scheduler keeps), `carried` (the last frames of the segment before),
//! `generator` (where the noise's stream stands) and `found_in_video`, `found_in_reference` (what networks found there), and metadata that say what request it is of and where that stands.

use std::collections::HashMap;
use std::fmt;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use crate::cache::easy::Course;
use crate::driving::Findings;
use crate::error::{Error, Result};
use crate::location::Location;
use crate::partial_file::PartialFile;
use crate::pipelines::run::description::Description;
use crate::rng::Generator;

/// The key that a file's metadata have, and its value: another for files that earlier releases cannot read.
const FORMAT: (&str, &str) = ("wan_animate_state", "2");

/// Files with longer headers are not of this kind.
const MAX_HEADER: u64 = 1 << 20;

/// No scheduler keeps as many.
const MAX_SLOTS: usize = 64;

/// Where a generation stands, after its last finished step. From [`Generation::state`](crate::Generation::state), for
/// [`Request::resume`](crate::Request::resume). On the host alone, and cheap to clone.
///
/// The same request, resumed, gives exactly the frames from [`frames`](Self::frames) on, with the bits that they would have had: on
/// the same adapter and driver, that is. A step or decoding that was under way begins again.
#[derive(Clone)]
pub struct State {
    pub(crate) request: Arc<Description>,
    pub(crate) position: Arc<Position>,
    pub(crate) frames: usize,
    /// In a raw video.
    pub(crate) findings: Findings,
}

/// A point between two steps.
#[derive(Clone)]
pub(crate) struct Position {
    pub video: usize,
    pub segment: usize,
    /// None before the segment has its noise.
    pub denoised: Option<Denoised>,
    /// Of the noise that is still to come.
    pub generator: Generator,
    /// Frames [F, H, W, 3] in [-1, 1] that the segment begins with.
    pub carried: Option<Arc<Vec<f32>>>,
}

/// Latents on their way, and what the scheduler keeps beside them.
#[derive(Clone, Default)]
pub(crate) struct Denoised {
    /// How many of the plan's evaluations have been applied.
    pub done: usize,
    /// [C, T, H, W] each: the scheduler's, and behind them what a cache goes on from.
    pub slots: Vec<Option<Vec<f32>>>,
    pub reused: Reused,
}

/// What a cache has decided, and what of it is to be made again: empty without one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reused {
    /// By evaluation, which branches were computed: the first is bit 0.
    pub decided: Vec<u8>,
    /// Evaluations whose work in layers may be reused; the slots behind the scheduler's are the latents that they looked at.
    pub sources: Vec<usize>,
    /// Where predictions may be reused; the slots behind the scheduler's are what is known of them.
    pub course: Option<Course>,
}

/// The numbers among a file's metadata.
#[derive(Serialize, Deserialize)]
struct Numbers {
    video: usize,
    segment: usize,
    frames: usize,
    /// How many steps are done, and how many slots there are, where the segment has its noise.
    denoised: Option<(usize, usize)>,
    reused: Reused,
}

/// What of a file's header tells what it is.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__")]
    metadata: HashMap<String, String>,
}

impl State {
    /// Frames that had left the generation, of all its videos. A resumed one begins with the next.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// The same state, from which a resumed generation gives frames from number `frames` on. Those that had left before can only be
    /// made again within the segment that the state stands in; earlier ones are gone.
    pub fn with_frames(self, frames: usize) -> Self {
        Self { frames, ..self }
    }

    /// Writes a file that holds everything. It replaces an earlier one only when it is whole and on disk.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let bytes = self.to_bytes();
        let (partial, mut file) = PartialFile::create(path)?;
        file.write_all(&bytes).map_err(Error::io(path))?;
        partial.publish_durably(&file)
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`Error::Input`] where the file is no saved state, or a damaged one; [`Error::Io`] where it cannot be read.
    pub fn open(file: impl Into<Location>) -> Result<Self> {
        let (file, mut bytes) = (file.into(), Vec::new());
        check_header(&file)?;
        file.reader()?.read_to_end(&mut bytes).map_err(Error::io(file.path()))?;
        let damaged = || Error::Input(format!("{}: a damaged state; start anew without it", file.path().display()));
        Self::from_bytes(&bytes).ok_or_else(damaged)
    }

    /// What [`save`](Self::save) writes. [`open`](Self::open) reads it from [`Location::file`].
    pub fn to_bytes(&self) -> Vec<u8> {
        self.serialize().expect("names are different, and sizes those of the bytes")
    }

    fn serialize(&self) -> Result<Vec<u8>, safetensors::SafeTensorError> {
        let Position { video, segment, denoised, generator, carried } = &*self.position;
        let words = generator.words();
        let mut tensors = vec![("generator".to_string(), Dtype::U32, bytemuck::cast_slice(&words))];
        let slots = denoised.iter().flat_map(|denoised| denoised.slots.iter().enumerate());
        tensors.extend(slots.filter_map(|(i, slot)| Some((format!("slot_{i}"), Dtype::F32, bytemuck::cast_slice(slot.as_ref()?)))));
        tensors.extend(carried.iter().map(|values| ("carried".to_string(), Dtype::F32, bytemuck::cast_slice(values.as_slice()))));
        tensors.extend(self.findings.bytes().map(|(name, bytes)| (name.to_string(), Dtype::U8, bytes)));
        let views = tensors.into_iter().map(|(name, dtype, bytes)| {
            let count = bytes.len() * 8 / dtype.bitsize();
            Ok((name, TensorView::new(dtype, vec![count], bytes)?))
        });
        let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
        let reused = denoised.as_ref().map(|denoised| denoised.reused.clone()).unwrap_or_default();
        let denoised = denoised.as_ref().map(|denoised| (denoised.done, denoised.slots.len()));
        let numbers = Numbers { video: *video, segment: *segment, frames: self.frames, denoised, reused };
        let metadata = HashMap::from([
            (FORMAT.0.to_string(), FORMAT.1.to_string()),
            ("position".into(), serde_json::to_string(&numbers)?),
            ("request".into(), serde_json::to_string(&*self.request)?),
        ]);
        safetensors::serialize(views, Some(metadata))
    }

    /// None where something is missing, of another type, or not finite.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
        let metadata = header.metadata().as_ref()?;
        let numbers: Numbers = serde_json::from_str(metadata.get("position")?).ok()?;
        let request = serde_json::from_str(metadata.get("request")?).ok()?;
        let tensors = SafeTensors::deserialize(bytes).ok()?;
        let floats = |name: &str| match tensors.tensor(name) {
            Err(_) => Some(None),
            Ok(view) if view.dtype() != Dtype::F32 => None,
            Ok(view) => {
                let values: Vec<f32> = bytemuck::pod_collect_to_vec(view.data());
                values.iter().all(|value| value.is_finite()).then_some(Some(values))
            }
        };
        let generator = tensors.tensor("generator").ok().filter(|view| view.dtype() == Dtype::U32)?;
        let denoised = match numbers.denoised {
            Some((_, count)) if count > MAX_SLOTS => return None,
            Some((done, count)) => {
                let slots = (0..count).map(|i| floats(&format!("slot_{i}"))).collect::<Option<_>>()?;
                Some(Denoised { done, slots, reused: numbers.reused })
            }
            None => None,
        };
        let position = Position {
            video: numbers.video,
            segment: numbers.segment,
            denoised,
            generator: Generator::from_words(&bytemuck::pod_collect_to_vec::<u8, u32>(generator.data()))?,
            carried: floats("carried")?.map(Arc::new),
        };
        let findings = Findings::from_bytes(|name| tensors.tensor(name).ok().map(|view| view.data()))?;
        Some(Self { request: Arc::new(request), position: Arc::new(position), frames: numbers.frames, findings })
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Position { video, segment, denoised, .. } = &*self.position;
        let step = denoised.as_ref().map_or(0, |denoised| denoised.done);
        let mut out = f.debug_struct("State");
        out.field("video", video).field("segment", segment).field("step", &step).field("frames", &self.frames).finish_non_exhaustive()
    }
}

/// Looks at the header alone, so that no other large file is read for nothing.
fn check_header(file: &Location) -> Result<()> {
    let path = file.path();
    let other = || Error::Input(format!("{}: not a saved state", path.display()));
    let (mut file, mut header) = (file.reader()?, Vec::new());
    (&mut file).take(8).read_to_end(&mut header).map_err(Error::io(path))?;
    let length = header.first_chunk().map(|&bytes| u64::from_le_bytes(bytes)).filter(|&length| length <= MAX_HEADER).ok_or_else(other)?;
    header.clear();
    file.take(length).read_to_end(&mut header).map_err(Error::io(path))?;
    let header: Header = serde_json::from_slice(&header).map_err(|_| other())?;
    match header.metadata.get(FORMAT.0) {
        Some(version) if version == FORMAT.1 => Ok(()),
        Some(version) => Err(Error::Input(format!(
            "{}: a state of format {version}, this release reads format {}; finish it with the release that wrote it",
            path.display(),
            FORMAT.1
        ))),
        None => Err(other()),
    }
}
