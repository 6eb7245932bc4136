//! The settings of one generation.

use std::path::Path;

use image::RgbImage;

use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::pipelines::builder::AnimatePipeline;
use crate::pipelines::generation::Generation;
use crate::pipelines::segments::Segments;
use crate::schedulers::Scheduler;
use crate::video::{Motion, Scene};
use crate::weights::Weights;

/// What the prompt is where none is given: "the person in the video is moving".
pub const DEFAULT_PROMPT: &str = "视频中的人在做动作";

/// What guidance leads away from where no negative prompt is given, as in the official release.
pub const DEFAULT_NEGATIVE_PROMPT: &str = "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，\
JPEG压缩残留，丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，\
杂乱的背景，三条腿，背景人很多，倒着走";

/// Sides of a video must be multiples of this: eight pixels to a latent, two latents to a patch.
pub const SIZE_STEP: u32 = 16;

/// Latents on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Latents {
    /// C, T, H, W.
    pub shape: [usize; 4],
    /// In that order, last axis contiguous.
    pub values: Vec<f32>,
}

impl Latents {
    /// Reads the noise of segments from a safetensors file: `segment_0`, `segment_1` and so on, each of four axes.
    ///
    /// # Errors
    /// [`Error::Weights`] where the file is damaged, has another tensor, or one of another rank or not finite.
    pub fn read_segments(file: impl AsRef<Path>) -> Result<Vec<Self>> {
        let file = file.as_ref();
        let weights = Weights::open(file)?;
        let mut segments = Vec::new();
        while let Some(info) = weights.info(&format!("segment_{}", segments.len())) {
            let name = format!("segment_{}", segments.len());
            let shape = <[usize; 4]>::try_from(&info.shape[..])
                .map_err(|_| Error::tensor(file, &name, format!("shape {:?}, expected [C, T + 1, H / 8, W / 8]", info.shape)))?;
            segments.push(Self { shape, values: weights.to_f32(&name, &shape)? });
        }
        weights.finish()?;
        Ok(segments)
    }
}

/// What a generation shows the character doing, or in whose place.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Task<'a> {
    Animate(&'a Motion),
    Replace(&'a Scene),
}

impl<'a> Task<'a> {
    pub(crate) fn motion(self) -> &'a Motion {
        match self {
            Self::Animate(motion) => motion,
            Self::Replace(scene) => scene.motion(),
        }
    }

    pub(crate) fn scene(self) -> Option<&'a Scene> {
        match self {
            Self::Animate(_) => None,
            Self::Replace(scene) => Some(scene),
        }
    }
}

/// A generation that is being described. Every setting has a default; [`start`](Self::start) checks them all.
#[derive(Clone, Debug)]
#[must_use = "nothing happens before `start`"]
pub struct AnimateRequest<'a> {
    pub(crate) pipeline: &'a AnimatePipeline,
    pub(crate) reference: &'a RgbImage,
    pub(crate) task: Task<'a>,
    pub(crate) size: Option<(u32, u32)>,
    pub(crate) prompt: String,
    pub(crate) negative_prompt: String,
    pub(crate) num_inference_steps: usize,
    pub(crate) guidance_scale: f64,
    pub(crate) shift: Option<f64>,
    pub(crate) scheduler: Option<Scheduler>,
    pub(crate) segment_frames: usize,
    pub(crate) overlap: usize,
    pub(crate) frame_offset: usize,
    pub(crate) seed: u64,
    pub(crate) num_videos: usize,
    pub(crate) noise: Option<Vec<Latents>>,
    pub(crate) previews: bool,
    pub(crate) cancel: Cancel,
}

impl<'a> AnimateRequest<'a> {
    pub(crate) fn new(pipeline: &'a AnimatePipeline, reference: &'a RgbImage, task: Task<'a>) -> Self {
        Self {
            pipeline,
            reference,
            task,
            size: None,
            prompt: DEFAULT_PROMPT.into(),
            negative_prompt: DEFAULT_NEGATIVE_PROMPT.into(),
            num_inference_steps: 20,
            guidance_scale: 1.0,
            shift: None,
            scheduler: None,
            segment_frames: 77,
            overlap: 1,
            frame_offset: 0,
            seed: 0,
            num_videos: 1,
            noise: None,
            previews: false,
            cancel: Cancel::new(),
        }
    }

    /// Width and height of the result in pixels, multiples of 16. Default: those of the pose video (of the background in
    /// [`replace`](AnimatePipeline::replace) without one).
    pub fn size(mut self, width: u32, height: u32) -> Self {
        self.size = Some((width, height));
        self
    }

    /// What is to be seen. Default: [`DEFAULT_PROMPT`], which Animate was trained with.
    pub fn prompt(mut self, prompt: impl Into<String>) -> Self {
        self.prompt = prompt.into();
        self
    }

    /// What is not to be seen; used with a guidance scale above 1. Default: [`DEFAULT_NEGATIVE_PROMPT`].
    pub fn negative_prompt(mut self, prompt: impl Into<String>) -> Self {
        self.negative_prompt = prompt.into();
        self
    }

    /// Denoising steps of a segment, 1 or more. Default: 20.
    pub fn num_inference_steps(mut self, steps: usize) -> Self {
        self.num_inference_steps = steps;
        self
    }

    /// How strongly the result follows prompt and face: above 1 each step costs a second pass, with the negative prompt and an
    /// empty face, that is led away from. Default: 1, one pass.
    pub fn guidance_scale(mut self, scale: f64) -> Self {
        self.guidance_scale = scale;
        self
    }

    /// The schedule's shift, above 0. Default: the checkpoint's.
    pub fn shift(mut self, shift: f64) -> Self {
        self.shift = Some(shift);
        self
    }

    /// The solver. Default: the checkpoint's.
    pub fn scheduler(mut self, scheduler: Scheduler) -> Self {
        self.scheduler = Some(scheduler);
        self
    }

    /// Frames made at once, 4n + 1. Default: 77, which Animate was trained with.
    pub fn segment_frames(mut self, frames: usize) -> Self {
        self.segment_frames = frames;
        self
    }

    /// Frames of a segment that the next one begins with, 1 to 5. Default: 1; the official release uses 1 or 5.
    pub fn overlap(mut self, frames: usize) -> Self {
        self.overlap = frames;
        self
    }

    /// Frames to leave out at the start of all input videos. Default: 0.
    pub fn frame_offset(mut self, frames: usize) -> Self {
        self.frame_offset = frames;
        self
    }

    /// The seed of the noise, the same as `torch.Generator("cpu").manual_seed(seed)` draws. Default: 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How many videos to make, with consecutive seeds. Default: 1. [`Event::Video`](crate::Event::Video) tells them apart.
    pub fn num_videos(mut self, count: usize) -> Self {
        self.num_videos = count;
        self
    }

    /// The initial noise of each segment, [C, T + 1, H / 8, W / 8], in place of the seed's. For one video.
    pub fn noise(mut self, segments: Vec<Latents>) -> Self {
        self.noise = Some(segments);
        self
    }

    /// Whether to send [`Event::Preview`](crate::Event::Preview) after each step. Default: no.
    pub fn previews(mut self, on: bool) -> Self {
        self.previews = on;
        self
    }

    /// A flag that stops the generation when it is set.
    pub fn cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }

    /// Checks the settings and begins. Work is done as the iterator is asked for events.
    ///
    /// # Errors
    /// [`Error::Input`] naming the setting that cannot be.
    pub fn start(self) -> Result<Generation<'a>> {
        Generation::new(self)
    }

    /// Width and height, checked.
    pub(crate) fn checked_size(&self) -> Result<(usize, usize)> {
        let motion = self.task.motion();
        let natural = motion.pose().map(|pose| pose.size()).or(self.task.scene().map(|scene| scene.background().size()));
        let Some((width, height)) = self.size.or(natural) else {
            return Err(Error::Input("there is no pose video to take the size from: set `size`".into()));
        };
        if width == 0 || height == 0 || width % SIZE_STEP != 0 || height % SIZE_STEP != 0 {
            return Err(Error::Input(format!(
                "a size of {width}x{height}: width and height must be multiples of {SIZE_STEP}; {}x{} would do",
                (width / SIZE_STEP).max(1) * SIZE_STEP,
                (height / SIZE_STEP).max(1) * SIZE_STEP
            )));
        }
        Ok((width as usize, height as usize))
    }

    /// The segments of the input frames that are left after the offset.
    pub(crate) fn checked_segments(&self) -> Result<Segments> {
        let frames = self.task.motion().num_frames();
        if self.frame_offset >= frames {
            return Err(Error::Input(format!("a frame offset of {} in inputs of {frames} frames", self.frame_offset)));
        }
        Segments::new(frames - self.frame_offset, self.segment_frames, self.overlap)
    }

    /// What is wrong with the plain numbers.
    pub(crate) fn check_numbers(&self) -> Result<()> {
        if self.num_inference_steps == 0 {
            return Err(Error::Input("0 inference steps; at least 1 is needed".into()));
        }
        if !self.guidance_scale.is_finite() || self.guidance_scale < 0.0 {
            return Err(Error::Input(format!("a guidance scale of {}; it must be 0 or more", self.guidance_scale)));
        }
        if let Some(shift) = self.shift.filter(|shift| !shift.is_finite() || *shift <= 0.0) {
            return Err(Error::Input(format!("a shift of {shift}; it must be above 0")));
        }
        if self.num_videos == 0 {
            return Err(Error::Input("0 videos; at least 1 is needed".into()));
        }
        if self.noise.is_some() && self.num_videos > 1 {
            return Err(Error::Input(format!("initial noise for one video and {} videos to make", self.num_videos)));
        }
        Ok(())
    }
}
