//! A character performs a motion, or takes somebody's place.

mod inputs;
mod job;

use std::sync::Arc;

use image::RgbImage;

use crate::error::{Error, Result};
use crate::gpu::Device;
use crate::models::dit::{animate::Animate, config::Config};
use crate::pipelines::checkpoint::{open::Checkpoint, open::Family, parts::Parts, recipe::Recipe, transformer::Transformer};
use crate::pipelines::plan::{refusal, report::Plan};
use crate::pipelines::request::{Request, builder::Builder, pipeline::Pipeline, pipeline::Twin, task::Task};
use crate::pipelines::run::{arrangement::Arrangement, canvas::Canvas, job::Job, segments::Segments, settings::Settings};
use crate::pipelines::tasks::animate::{inputs::Inputs, inputs::Role, job::AnimateJob, job::SCALE};
use crate::pipelines::tasks::shared::Shared;
use crate::video::{Motion, Scene};

/// What the prompt is where none is given: "the person in the video is moving".
pub const DEFAULT_PROMPT: &str = "视频中的人在做动作";

const DEFAULT_STEPS: usize = 20;

/// A loaded Wan2.2-Animate. Dear to build; cheap to clone; shared and reused, by several generations at once too.
#[derive(Clone, Debug)]
pub struct AnimatePipeline {
    parts: Arc<Parts<Animate>>,
    twin: Twin<Self>,
}

/// A generation of [`AnimatePipeline`] that is being described.
pub type AnimateRequest = Request<Animation>;

/// What Animate makes of what.
#[derive(Clone, Debug)]
pub struct Animation {
    pipeline: AnimatePipeline,
    inputs: Inputs,
    segment_frames: usize,
    overlap: usize,
}

impl AnimatePipeline {
    /// Starts describing what to load.
    pub fn builder(device: &Device) -> Builder<'_, Self> {
        Builder::new(device)
    }

    /// The character of `reference` performs the motion. The reference may have any size; it is fitted into the result's on
    /// black, never cropped.
    pub fn animate(&self, reference: impl Into<Shared<RgbImage>>, motion: impl Into<Shared<Motion>>) -> AnimateRequest {
        self.request(reference.into(), Role::Animate(motion.into().0))
    }

    /// The character of `reference` takes the place of the person in the scene.
    pub fn replace(&self, reference: impl Into<Shared<RgbImage>>, scene: impl Into<Shared<Scene>>) -> AnimateRequest {
        self.request(reference.into(), Role::Replace(scene.into().0))
    }

    fn request(&self, reference: Shared<RgbImage>, role: Role) -> AnimateRequest {
        let inputs = Inputs { reference: reference.0, role, frame_offset: 0 };
        Request::new(Animation { pipeline: self.clone(), inputs, segment_frames: 77, overlap: 1 }, DEFAULT_PROMPT)
    }

    /// What a request will take on this pipeline: see [`Request::plan`].
    ///
    /// # Errors
    /// Those of [`Request::start`].
    pub fn plan(&self, request: &AnimateRequest) -> Result<Plan> {
        request.plan_on(self)
    }

    /// The device that it was built on.
    pub fn device(&self) -> &Device {
        &self.parts.device
    }
}

impl Pipeline for AnimatePipeline {
    type Transformer = Animate;

    fn load(device: &Device, recipe: &Recipe) -> Result<Self> {
        let checkpoint = Checkpoint::open(&recipe.source, Family::Animate)?;
        check_agreement(&checkpoint)?;
        let Checkpoint { transformer: (mut weights, config), files, .. } = checkpoint;
        recipe.loras.merge(&mut weights, None)?;
        let twin = Twin::new(device, recipe);
        if let Some(budget) = recipe.budget {
            twin.with(|twin: &Self| refusal::check(&twin.parts, budget))?;
        }
        let parts = files.load(device, recipe, recipe.loras.digest(device, [&weights])?, || {
            let weights = Arc::new(weights);
            let transformer = Animate::open(device, &weights, recipe.precision, &config)?;
            if recipe.budget.is_none() {
                transformer.fill(device, usize::MAX, true)?;
                weights.finish()?;
            }
            Ok(transformer)
        })?;
        Ok(Self { parts: Arc::new(parts), twin })
    }

    fn parts(&self) -> &Arc<Parts<Animate>> {
        &self.parts
    }

    fn twin(&self) -> &Twin<Self> {
        &self.twin
    }
}

impl Transformer for Animate {
    fn config(&self) -> &Config {
        self.dit().config()
    }

    fn layers(&self, dry: &Device) -> Result<Vec<u64>> {
        self.dit().blocks().sizes(dry)
    }

    fn fill(&self, device: &Device, count: usize, _both: bool) -> Result<()> {
        self.dit().blocks().fill(device, count)
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

impl AnimateRequest {
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
        self.task.inputs.frame_offset = frames;
        self
    }
}

impl Task for Animation {
    type Pipeline = AnimatePipeline;

    fn pipeline(&self) -> &AnimatePipeline {
        &self.pipeline
    }

    fn on(self, pipeline: &AnimatePipeline) -> Self {
        Self { pipeline: pipeline.clone(), ..self }
    }

    fn size(&self) -> Option<(u32, u32)> {
        self.inputs.size()
    }

    fn steps(&self) -> usize {
        DEFAULT_STEPS
    }

    fn reference_frames(&self) -> usize {
        1
    }

    /// Of the input frames that are left after the offset.
    fn segments(&self) -> Result<Segments> {
        let (frames, offset) = (self.inputs.motion().num_frames(), self.inputs.frame_offset);
        if offset >= frames {
            return Err(Error::Input(format!("a frame offset of {offset} in inputs of {frames} frames")));
        }
        Segments::new(frames - offset, self.segment_frames, self.overlap)
    }

    fn halve_frames(&mut self) -> Option<String> {
        let frames = Some(self.segment_frames / 8 * 4 + 1).filter(|&frames| frames >= 5 && frames > self.overlap)?;
        self.segment_frames = frames;
        Some(format!("segments of {frames} frames"))
    }

    fn job(self, settings: &Settings, canvas: Canvas, arrangement: Arrangement) -> Box<dyn Job> {
        Box::new(AnimateJob::new(self.pipeline.parts, self.inputs, settings, canvas, arrangement))
    }
}
