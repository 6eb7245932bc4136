//! Videos from text, from a first image, or from a first and a last image.

mod job;
mod model;

use std::sync::Arc;

use image::RgbImage;

use crate::cache::tables::Kin;
use crate::error::{Error, Result};
use crate::gpu::Device;
use crate::location::Location;
use crate::pipelines::checkpoint::{
    expert::Expert, experts::Experts, open::Checkpoint, open::Family, parts::Parts, recipe::Recipe, source::Part, transformer::Transformer,
};
use crate::pipelines::plan::{refusal, report::Plan};
use crate::pipelines::request::{Request, builder::Builder, pipeline::Pipeline, pipeline::Twin, pipeline::sealed::Sealed, task::Task};
use crate::pipelines::run::{
    arrangement::Arrangement, canvas::Canvas, job::Job, segments::Segments, settings::Settings, settings::check_guidance,
};
use crate::pipelines::tasks::shared::Shared;
use crate::pipelines::tasks::video::{job::Guidance, job::VideoJob, model::Model};
use crate::weights::Lora;

/// A loaded Wan2.1 or Wan2.2 for text or an image to video: T2V, I2V (with one transformer or two experts, with or without CLIP),
/// first-last-frame, TI2V. Dear to build; cheap to clone; shared and reused.
///
/// Two experts stay on the GPU together unless the [memory budget](Builder::memory_budget) is too small for both. Then one is there
/// at a time, or as much of it as there is room for, and each [switch](crate::Stage::Switching) makes room for the other.
///
/// ```no_run
/// # fn main() -> wan_animate::Result<()> {
/// # let device = wan_animate::Device::builder().build()?;
/// let pipeline = wan_animate::VideoPipeline::builder(&device).checkpoint("models/Wan2.2-T2V-A14B-Diffusers").build()?;
/// for event in pipeline.text_to_video("two cats box on a stage").size(832, 480).num_frames(81).start()? {
///     if let wan_animate::Event::Step(step) = event? {
///         println!("{step}"); // "segment 1/1, step 7/40, high-noise expert, sigma 0.958, 3.1 s"
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct VideoPipeline {
    parts: Arc<Parts<Experts>>,
    model: Model,
    twin: Twin<Self>,
}

/// A generation of [`VideoPipeline`] that is being described.
pub type VideoRequest = Request<Video>;

/// What a video is made of.
#[derive(Clone, Debug)]
pub struct Video {
    pipeline: VideoPipeline,
    image: Option<Arc<RgbImage>>,
    last_image: Option<Arc<RgbImage>>,
    num_frames: Option<usize>,
    guidance_scale_2: Option<f64>,
}

impl VideoPipeline {
    /// Starts describing what to load.
    pub fn builder(device: &Device) -> Builder<'_, Self> {
        Builder::new(device)
    }

    /// A video of what the prompt says. For T2V and TI2V checkpoints.
    pub fn text_to_video(&self, prompt: impl Into<String>) -> VideoRequest {
        self.request(None, prompt)
    }

    /// A video that begins with `image`, stretched to the video's size; TI2V in the official layout scales it to cover that, and
    /// takes its middle. For I2V and TI2V checkpoints.
    pub fn image_to_video(&self, image: impl Into<Shared<RgbImage>>, prompt: impl Into<String>) -> VideoRequest {
        self.request(Some(image.into().0), prompt)
    }

    fn request(&self, image: Option<Arc<RgbImage>>, prompt: impl Into<String>) -> VideoRequest {
        Request::new(Video { pipeline: self.clone(), image, last_image: None, num_frames: None, guidance_scale_2: None }, prompt)
    }

    /// What a request will take on this pipeline: see [`Request::plan`].
    ///
    /// # Errors
    /// Those of [`Request::start`].
    pub fn plan(&self, request: &VideoRequest) -> Result<Plan> {
        request.plan_on(self)
    }

    /// The device that it was built on.
    pub fn device(&self) -> &Device {
        &self.parts.device
    }
}

impl Builder<'_, VideoPipeline> {
    /// The low-noise expert by itself, as for [`transformer`](Self::transformer). It takes over at the noise level of the official
    /// release: 0.875 for text, 0.9 for an image.
    pub fn transformer_2(self, file: impl Into<Location>) -> Self {
        self.part(Part::Transformer2, file)
    }

    /// Merges a LoRA into one of two experts: those for few steps come as pairs of files. May be called several times.
    pub fn expert_lora(self, expert: Expert, lora: Lora) -> Self {
        self.lora_for(Some(expert), lora)
    }
}

impl Sealed for VideoPipeline {}
impl Sealed for Video {}

impl Pipeline for VideoPipeline {
    type Transformer = Experts;

    fn load(device: &Device, recipe: &Recipe) -> Result<Self> {
        let checkpoint = Checkpoint::open(&recipe.source, Family::Video)?;
        let model = Model::detect(&checkpoint)?;
        let Checkpoint { transformer: mut high, mut low, files, .. } = checkpoint;
        recipe.loras.merge(&mut high.0, low.is_some().then_some(Expert::HighNoise))?;
        if let Some(((weights, _), _)) = &mut low {
            recipe.loras.merge(weights, Some(Expert::LowNoise))?;
        }
        let timesteps = files.scheduler.num_train_timesteps();
        let low = low.map(|(files, boundary)| (files, boundary * timesteps));
        let digest = recipe.loras.digest(device, std::iter::once(&high.0).chain(low.iter().map(|((weights, _), _)| weights)))?;
        let twin = Twin::new(device, recipe);
        if let Some(budget) = recipe.budget {
            twin.with(|twin: &Self| refusal::check(&twin.parts, budget))?;
        }
        let parts = files.load(device, recipe, digest, || {
            let sink = recipe.sink(device);
            let experts = Experts::open(device, &sink, recipe.precision, high, low)?;
            if recipe.budget.is_none() {
                experts.fill(&sink, usize::MAX, true)?;
                experts.finish()?;
            }
            Ok(experts)
        })?;
        Ok(Self { parts: Arc::new(parts), model, twin })
    }

    fn parts(&self) -> &Arc<Parts<Experts>> {
        &self.parts
    }

    fn twin(&self) -> &Twin<Self> {
        &self.twin
    }
}

impl VideoRequest {
    /// An image that the video ends with. For I2V checkpoints; those with CLIP must be made for it.
    pub fn last_image(mut self, image: impl Into<Shared<RgbImage>>) -> Self {
        self.task.last_image = Some(image.into().0);
        self
    }

    /// Frames of the video, 4n + 1. Default: 81; 121 for TI2V.
    pub fn num_frames(mut self, frames: usize) -> Self {
        self.task.num_frames = Some(frames);
        self
    }

    /// The guidance scale of the low-noise expert. Default: the [`guidance_scale`](Self::guidance_scale) that was set. Whether
    /// there is guidance at all, `guidance_scale` says for both.
    pub fn guidance_scale_2(mut self, scale: f64) -> Self {
        self.task.guidance_scale_2 = Some(scale);
        self
    }
}

impl Task for Video {
    type Pipeline = VideoPipeline;

    fn pipeline(&self) -> &VideoPipeline {
        &self.pipeline
    }

    fn on(self, pipeline: &VideoPipeline) -> Self {
        Self { pipeline: pipeline.clone(), ..self }
    }

    fn size(&self) -> Option<(u32, u32)> {
        Some(self.pipeline.model.defaults().size)
    }

    fn steps(&self) -> usize {
        self.pipeline.model.defaults().steps
    }

    fn shift(&self, pixels: usize) -> Option<f64> {
        self.pipeline.model.shift(self.pipeline.parts.rules, pixels)
    }

    fn segments(&self) -> Result<Segments> {
        Segments::one(self.num_frames.unwrap_or(self.pipeline.model.defaults().num_frames))
    }

    fn halve_frames(&mut self) -> Option<String> {
        let all = self.segments().ok()?.frames();
        let frames = Some(all / 8 * 4 + 1).filter(|&frames| frames < all)?;
        self.num_frames = Some(frames);
        Some(format!("{frames} frames"))
    }

    fn kin(&self, pixels: usize, expert: Expert) -> Kin {
        self.pipeline.model.kin(self.pipeline.parts.transformer.config().width(), pixels, expert)
    }

    fn check(&self, segments: &Segments) -> Result<()> {
        check_guidance(self.guidance_scale_2)?;
        if self.guidance_scale_2.is_some() && !self.pipeline.model.two_experts {
            return Err(Error::Input("`guidance_scale_2` is for checkpoints with two experts; this one has one transformer".into()));
        }
        self.pipeline.model.check_images(self.image.is_some(), self.last_image.is_some(), segments.frames())
    }

    fn job(self, settings: &Settings, canvas: Canvas, arrangement: Arrangement) -> Box<dyn Job> {
        let VideoPipeline { parts, model, .. } = self.pipeline;
        let defaults = model.defaults();
        let first = settings.guidance_scale.unwrap_or(defaults.guidance.0);
        let second = self.guidance_scale_2.or(settings.guidance_scale).unwrap_or(defaults.guidance.1);
        let guidance = Guidance { scales: (first, second), prompts: settings.prompts(first > 1.0, defaults.flaws) };
        let images = self.image.into_iter().chain(self.last_image).collect();
        Box::new(VideoJob::new(parts, model, canvas, guidance, images, arrangement))
    }
}
