//! A character performs a motion, or takes somebody's place.

mod job;

use std::sync::Arc;

use image::RgbImage;

use crate::error::{Error, Result};
use crate::gpu::Device;
use crate::models::dit::animate::Animate;
use crate::pipelines::animate::job::AnimateJob;
use crate::pipelines::builder::{Builder, Pipeline, Recipe};
use crate::pipelines::canvas::Canvas;
use crate::pipelines::checkpoint::{Checkpoint, Family};
use crate::pipelines::description::Description;
use crate::pipelines::generation::Generation;
use crate::pipelines::limits;
use crate::pipelines::parts::Parts;
use crate::pipelines::plan::{self, Arrangement, Lever, Plan, Rehearsed, Search, Transformer};
use crate::pipelines::request::Request;
use crate::pipelines::segments::Segments;
use crate::pipelines::twin::Twin;
use crate::video::{Motion, Scene};

/// What the prompt is where none is given: "the person in the video is moving".
pub const DEFAULT_PROMPT: &str = "视频中的人在做动作";

/// Sides of a video must be multiples of this: eight pixels to a latent, two latents to a patch.
const SIZE_STEP: u32 = 16;

/// Pixels of a latent pixel's side.
const SCALE: usize = 8;

const DEFAULT_STEPS: usize = 20;

/// Segments that a plan looks at: one, and one with frames carried over. The others are like the second.
const PLANNED_SEGMENTS: usize = 2;

/// A loaded Wan2.2-Animate. Dear to build; cheap to clone; shared and reused.
#[derive(Clone, Debug)]
pub struct AnimatePipeline {
    parts: Arc<Parts<Animate>>,
    twin: Twin<Self>,
}

/// A generation of [`AnimatePipeline`] that is being described.
pub type AnimateRequest<'a> = Request<Animation<'a>>;

/// What Animate makes of what.
#[derive(Clone, Debug)]
pub struct Animation<'a> {
    pipeline: &'a AnimatePipeline,
    reference: &'a RgbImage,
    input: Input<'a>,
    segment_frames: usize,
    overlap: usize,
    frame_offset: usize,
}

/// What a generation shows the character doing, or in whose place.
#[derive(Clone, Copy, Debug)]
enum Input<'a> {
    Animate(&'a Motion),
    Replace(&'a Scene),
}

impl<'a> Input<'a> {
    fn motion(self) -> &'a Motion {
        match self {
            Self::Animate(motion) => motion,
            Self::Replace(scene) => scene.motion(),
        }
    }

    /// The size of the video that the result's frames answer to.
    fn size(self) -> Option<(u32, u32)> {
        let pose = self.motion().pose().map(|pose| pose.size());
        match self {
            Self::Animate(_) => pose,
            Self::Replace(scene) => pose.or(Some(scene.background().size())),
        }
    }
}

impl AnimatePipeline {
    /// Starts describing what to load.
    pub fn builder(device: &Device) -> Builder<'_, Self> {
        Builder::new(device)
    }

    /// The character of `reference` performs the motion. The reference may have any size; it is fitted into the result's on
    /// black, never cropped.
    pub fn animate<'a>(&'a self, reference: &'a RgbImage, motion: &'a Motion) -> AnimateRequest<'a> {
        self.request(reference, Input::Animate(motion))
    }

    /// The character of `reference` takes the place of the person in the scene.
    pub fn replace<'a>(&'a self, reference: &'a RgbImage, scene: &'a Scene) -> AnimateRequest<'a> {
        self.request(reference, Input::Replace(scene))
    }

    fn request<'a>(&'a self, reference: &'a RgbImage, input: Input<'a>) -> AnimateRequest<'a> {
        let animation = Animation { pipeline: self, reference, input, segment_frames: 77, overlap: 1, frame_offset: 0 };
        Request::new(animation, DEFAULT_PROMPT)
    }

    /// What a request will take, stage by stage, and what stays on the GPU meanwhile so that it keeps to the
    /// [memory budget](Builder::memory_budget). Nothing is allocated, and no weight is read.
    ///
    /// # Errors
    /// Those of [`Request::start`](AnimateRequest::start), and [`Error::Limits`] where the budget is too small, naming the smallest one that
    /// is not.
    pub fn plan(&self, request: &AnimateRequest) -> Result<Plan> {
        self.arrange(request).map(|(plan, _)| plan.timed(self.device()))
    }

    fn arrange(&self, request: &AnimateRequest) -> Result<(Plan, Arrangement)> {
        self.twin.with(|twin| {
            let run = |request: &AnimateRequest| {
                let task = Animation { pipeline: twin, ..request.task.clone() };
                Rehearsed::run(twin.device(), Request { task, settings: request.settings.for_plan() }.begin()?)
            };
            let smaller = |lever| {
                let (words, request) = request.smaller(lever)?;
                Some((words, Box::new(move || run(&request)) as _))
            };
            let what = request.describe()?;
            Search { parts: &twin.parts, what, budget: self.parts.budget, run: &|| run(request), smaller: &smaller }.plan()
        })
    }

    /// The device that it was built on.
    pub fn device(&self) -> &Device {
        &self.parts.device
    }
}

impl Pipeline for AnimatePipeline {
    fn load(device: &Device, recipe: &Recipe) -> Result<Self> {
        let checkpoint = Checkpoint::open(&recipe.source, Family::Animate)?;
        check_agreement(&checkpoint)?;
        let Checkpoint { transformer: (mut weights, config), files, .. } = checkpoint;
        recipe.loras.merge(&mut weights, None)?;
        let twin = Twin::new(device, recipe);
        if let Some(budget) = recipe.budget {
            twin.with(|twin: &Self| plan::check(&twin.parts, budget))?;
        }
        let parts = files.load(device, recipe, recipe.loras.digest(device, [&weights]), || {
            let weights = Arc::new(weights);
            let transformer = Animate::open(device, &weights, recipe.precision, &config)?;
            if recipe.budget.is_none() {
                transformer.dit().blocks().fill(device, usize::MAX)?;
                weights.finish()?;
            }
            Ok(transformer)
        })?;
        Ok(Self { parts: Arc::new(parts), twin })
    }
}

impl Transformer for Animate {
    fn layers(&self, dry: &Device) -> Result<Vec<u64>> {
        self.dit().blocks().sizes(dry)
    }

    fn fill(&self, dry: &Device, count: usize) -> Result<()> {
        self.dit().blocks().fill(dry, count)
    }

    fn keep(&self, resident: usize, arrangement: &Arrangement) {
        self.dit().set_footprint(arrangement.footprint);
        self.dit().blocks().keep(resident);
    }
}

/// The VAE's latents must be the transformer's.
fn check_agreement(checkpoint: &Checkpoint) -> Result<()> {
    let (dit, vae) = (&checkpoint.transformer.1, &checkpoint.files.vae.1);
    let (channels, inputs, outputs) = (dit.latent_channels()?, dit.in_channels()?, dit.out_channels()?);
    if vae.z_dim != channels || outputs != channels || inputs != channels.saturating_mul(2).saturating_add(4) {
        return Err(checkpoint.error(format!(
            "the VAE has {} latent channels, the transformer takes {inputs} and gives {outputs}; expected z, 2 z + 4 and z",
            vae.z_dim,
        )));
    }
    let (frames, pixels) = (vae.frames_per_latent(), vae.pixels_per_latent());
    if frames != 4 || pixels != SCALE || dit.patch_size != [1, 2, 2] {
        return Err(Error::Unsupported(format!(
            "a VAE of {frames}x{pixels}x{pixels} with patches of {:?}; Animate needs 4x8x8 and [1, 2, 2]",
            dit.patch_size
        )));
    }
    Ok(())
}

impl<'a> Request<Animation<'a>> {
    /// Frames made at once, 4n + 1. Default: 77, which Animate was trained with.
    pub fn segment_frames(mut self, frames: usize) -> Self {
        self.task.segment_frames = frames;
        self
    }

    /// Frames of a segment that the next one begins with, 1 to 5. Default: 1; the official release uses 1 or 5.
    pub fn overlap(mut self, frames: usize) -> Self {
        self.task.overlap = frames;
        self
    }

    /// Frames to leave out at the start of all input videos. Default: 0.
    pub fn frame_offset(mut self, frames: usize) -> Self {
        self.task.frame_offset = frames;
        self
    }

    /// Checks the settings and begins. Work is done as the iterator is asked for events.
    ///
    /// # Errors
    /// [`Error::Input`] naming the setting that cannot be; [`Error::Limits`] where the model lacks positions for the size or length, or one
    /// tensor would be larger than the adapter allows.
    pub fn start(self) -> Result<Generation<'a>> {
        let pipeline = self.task.pipeline;
        if pipeline.parts.budget.is_some() {
            let (_, arrangement) = pipeline.arrange(&self)?;
            pipeline.parts.arrange(arrangement);
        }
        self.begin()
    }

    /// What it makes, in words.
    fn describe(&self) -> Result<String> {
        let (width, height) = self.settings.checked_size(self.task.input.size(), SIZE_STEP)?;
        Ok(format!("{width}x{height} pixels in segments of {} frames", self.task.segments()?.segment_frames()))
    }

    /// With less of something, and that in words; none where there is no less of it.
    fn smaller(&self, lever: Lever) -> Option<(String, Self)> {
        let mut request = self.clone();
        let words = match lever {
            Lever::Tiles => request.settings.tile()?,
            Lever::Size => request.settings.halve_size(self.task.input.size(), SIZE_STEP)?,
            Lever::Frames => {
                let frames = Some(self.task.segment_frames / 8 * 4 + 1).filter(|&frames| frames >= 5 && frames > self.task.overlap)?;
                request.task.segment_frames = frames;
                format!("segments of {frames} frames")
            }
        };
        Some((words, request))
    }

    fn begin(self) -> Result<Generation<'a>> {
        let Self { task, settings } = self;
        settings.check()?;
        let size = settings.checked_size(task.input.size(), SIZE_STEP)?;
        let parts = task.pipeline.parts.as_ref();
        let segments = match parts.device.rehearsal() {
            Some(_) => task.segments()?.first(PLANNED_SEGMENTS),
            None => task.segments()?,
        };
        let (width, height) = size;
        // The reference's latent frame stands in front.
        let latents = [parts.vae.config().z_dim, segments.latent_frames() + 1, height / SCALE, width / SCALE];
        let canvas = Canvas { size, segments, latents, tiling: parts.tiling(settings.tiling) };
        limits::check(parts, parts.transformer.config(), &canvas)?;
        let plan = settings.plan(&parts.scheduler, DEFAULT_STEPS)?;
        let mut description = parts.describe();
        task.describe(&mut description)?;
        let job = AnimateJob::new(parts, task, &settings, canvas);
        job.describe(&mut description);
        Generation::new(parts, settings, plan, canvas, description, job)
    }
}

impl Animation<'_> {
    /// What frames depend on of the inputs.
    fn describe(&self, description: &mut Description) -> Result<()> {
        let motion = self.input.motion();
        description.set_image("reference", self.reference);
        description.set_video("pose", motion.pose())?;
        description.set_video("face", motion.face())?;
        if let Input::Replace(scene) = self.input {
            description.set_video("background", Some(scene.background()))?;
            description.set_image("mask", &scene.read_mask(0)?);
        }
        description.set("segment frames", self.segment_frames);
        description.set("overlap", self.overlap);
        description.set("frame offset", self.frame_offset);
        Ok(())
    }

    /// The segments of the input frames that are left after the offset.
    fn segments(&self) -> Result<Segments> {
        let frames = self.input.motion().num_frames();
        if self.frame_offset >= frames {
            return Err(Error::Input(format!("a frame offset of {} in inputs of {frames} frames", self.frame_offset)));
        }
        Segments::new(frames - self.frame_offset, self.segment_frames, self.overlap)
    }
}
