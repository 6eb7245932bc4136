//! Videos from text, from a first image, or from a first and a last image.

mod job;
mod model;

use std::sync::Arc;

use image::RgbImage;

use crate::error::{Error, Result};
use crate::gpu::Device;
use crate::pipelines::builder::{Builder, Pipeline, Recipe};
use crate::pipelines::canvas::Canvas;
use crate::pipelines::checkpoint::{Checkpoint, Family};
use crate::pipelines::experts::{Expert, Experts};
use crate::pipelines::generation::Generation;
use crate::pipelines::limits;
use crate::pipelines::parts::Parts;
use crate::pipelines::plan::{self, Arrangement, Lever, Plan, Rehearsed, Search};
use crate::pipelines::request::{Request, check_guidance};
use crate::pipelines::segments::Segments;
use crate::pipelines::twin::Twin;
use crate::pipelines::video::job::VideoJob;
use crate::pipelines::video::model::Model;

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
pub type VideoRequest<'a> = Request<Video<'a>>;

/// What a video is made of.
#[derive(Clone, Debug)]
pub struct Video<'a> {
    pipeline: &'a VideoPipeline,
    image: Option<&'a RgbImage>,
    last_image: Option<&'a RgbImage>,
    num_frames: Option<usize>,
    guidance_scale_2: Option<f64>,
}

impl VideoPipeline {
    /// Starts describing what to load.
    pub fn builder(device: &Device) -> Builder<'_, Self> {
        Builder::new(device)
    }

    /// A video of what the prompt says. For T2V and TI2V checkpoints.
    pub fn text_to_video(&self, prompt: impl Into<String>) -> VideoRequest<'_> {
        self.request(None, prompt)
    }

    /// A video that begins with `image`, stretched to the video's size; TI2V in the official layout scales it to cover that, and
    /// takes its middle. For I2V and TI2V checkpoints.
    pub fn image_to_video<'a>(&'a self, image: &'a RgbImage, prompt: impl Into<String>) -> VideoRequest<'a> {
        self.request(Some(image), prompt)
    }

    fn request<'a>(&'a self, image: Option<&'a RgbImage>, prompt: impl Into<String>) -> VideoRequest<'a> {
        let video = Video { pipeline: self, image, last_image: None, num_frames: None, guidance_scale_2: None };
        Request::new(video, prompt)
    }

    /// What a request will take, stage by stage, and what stays on the GPU meanwhile so that it keeps to the
    /// [memory budget](Builder::memory_budget). Nothing is allocated, and no weight is read.
    ///
    /// # Errors
    /// Those of [`Request::start`](VideoRequest::start), and [`Error::Limits`] where the budget is too small, naming the smallest one that is
    /// not.
    pub fn plan(&self, request: &VideoRequest) -> Result<Plan> {
        self.arrange(request).map(|(plan, _)| plan.timed(self.device()))
    }

    fn arrange(&self, request: &VideoRequest) -> Result<(Plan, Arrangement)> {
        self.twin.with(|twin| {
            let run = |request: &VideoRequest| {
                let task = Video { pipeline: twin, ..request.task.clone() };
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

impl Pipeline for VideoPipeline {
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
        let digest = recipe.loras.digest(device, std::iter::once(&high.0).chain(low.iter().map(|((weights, _), _)| weights)));
        let twin = Twin::new(device, recipe);
        if let Some(budget) = recipe.budget {
            twin.with(|twin: &Self| plan::check(&twin.parts, budget))?;
        }
        let filled = recipe.budget.is_none();
        let parts = files.load(device, recipe, digest, || Experts::load(device, recipe.precision, high, low, filled))?;
        Ok(Self { parts: Arc::new(parts), model, twin })
    }
}

impl<'a> Request<Video<'a>> {
    /// An image that the video ends with. For I2V checkpoints; those with CLIP must be made for it.
    pub fn last_image(mut self, image: &'a RgbImage) -> Self {
        self.task.last_image = Some(image);
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
        let (width, height) = self.canvas_size()?;
        Ok(format!("{width}x{height} pixels in segments of {} frames", self.segments()?.segment_frames()))
    }

    /// With less of something, and that in words; none where there is no less of it.
    fn smaller(&self, lever: Lever) -> Option<(String, Self)> {
        let mut request = self.clone();
        let words = match lever {
            Lever::Tiles => request.settings.tile()?,
            Lever::Size => request.settings.halve_size(Some(self.task.pipeline.model.defaults().size), self.size_step())?,
            Lever::Frames => {
                let all = self.segments().ok()?.frames();
                let frames = Some(all / 8 * 4 + 1).filter(|&frames| frames < all)?;
                request.task.num_frames = Some(frames);
                format!("{frames} frames")
            }
        };
        Some((words, request))
    }

    fn segments(&self) -> Result<Segments> {
        Segments::one(self.task.num_frames.unwrap_or(self.task.pipeline.model.defaults().num_frames))
    }

    fn canvas_size(&self) -> Result<(usize, usize)> {
        self.settings.checked_size(Some(self.task.pipeline.model.defaults().size), self.size_step())
    }

    /// Sides are multiples of it: two latents to a patch.
    fn size_step(&self) -> u32 {
        2 * self.task.pipeline.parts.vae.config().pixels_per_latent() as u32
    }

    fn begin(self) -> Result<Generation<'a>> {
        let (segments, size) = (self.segments(), self.canvas_size());
        let Self { task, mut settings } = self;
        let VideoPipeline { parts, model, .. } = task.pipeline;
        let defaults = model.defaults();
        settings.check()?;
        check_guidance(task.guidance_scale_2)?;
        if task.guidance_scale_2.is_some() && !model.two_experts {
            return Err(Error::Input("`guidance_scale_2` is for checkpoints with two experts; this one has one transformer".into()));
        }
        let segments = segments?;
        model.check_images(task.image.is_some(), task.last_image.is_some(), segments.frames())?;
        let scale = parts.vae.config().pixels_per_latent();
        let size @ (width, height) = size?;
        let latents = [parts.vae.config().z_dim, segments.latent_frames(), height / scale, width / scale];
        let canvas = Canvas { size, segments, latents, tiling: parts.tiling(settings.tiling) };
        limits::check(parts, parts.transformer.config(), &canvas)?;
        settings.shift = settings.shift.or_else(|| model.shift(parts.rules, width * height));
        let plan = settings.plan(&parts.scheduler, defaults.steps)?;
        let guidance = match settings.guidance_scale {
            Some(first) => (first, task.guidance_scale_2.unwrap_or(first)),
            None => (defaults.guidance.0, task.guidance_scale_2.unwrap_or(defaults.guidance.1)),
        };
        let images = task.image.into_iter().chain(task.last_image).collect();
        let job = VideoJob::new(parts, *model, canvas, settings.prompts(guidance.0 > 1.0, defaults.flaws), guidance, images);
        let mut description = parts.describe();
        job.describe(&mut description);
        Generation::new(parts, settings, plan, canvas, description, job)
    }
}
