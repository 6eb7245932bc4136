//! A request: what is to be made of what, and how. What is particular to a kind of video is its [`task`].
//!
//! [`builder`] says what to load for a [`pipeline`] on which requests are made; [`preset`]: sets of settings; [`caching`]: what its
//! cache comes to.

pub(crate) mod builder;
mod caching;
pub(crate) mod pipeline;
pub(crate) mod preset;
pub(crate) mod task;

use crate::cache::settings::Cache;
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::gpu::WhenBusy;
use crate::models::{dit::radial::RadialAttention, vae::tiling::VaeTiling};
use crate::pipelines::checkpoint::transformer::Transformer;
use crate::pipelines::request::{pipeline::Pipeline, preset::Preset, task::Task};
use crate::pipelines::run::{
    arrangement::Arrangement, budget::MemoryBudget, canvas::Canvas, description::Description, forecast::Forecast, generation::Generation,
    latents::Latents, limits, settings::Settings, settings::checked_size, state::State, windows::Windows,
};
use crate::schedulers::{Sampler, Spacing};

/// Segments that a plan looks at: one, and one with frames carried over. The others are like the second.
const PLANNED_SEGMENTS: usize = 2;

/// What a generation with a draft decoder warns of.
const DRAFT: &str = "frames are drafts: a tiny decoder makes them in place of the VAE's, with faults in faces and fine detail";

/// A generation that is being described. Every setting has a default; [`start`](Self::start) checks them all.
///
/// `T` is what is made of what: see [`AnimateRequest`](crate::AnimateRequest) and [`VideoRequest`](crate::VideoRequest).
#[derive(Clone, Debug)]
#[must_use = "nothing happens before `start`"]
pub struct Request<T> {
    pub(crate) task: T,
    pub(crate) settings: Settings,
}

/// What of a request may be made smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reduction {
    /// The VAE's frames, in tiles.
    Tiles,
    /// Frames at once, to about half.
    Frames,
    /// Width and height, to about half.
    Size,
}

impl<T> Request<T> {
    pub(crate) fn new(task: T, prompt: impl Into<String>) -> Self {
        Self { task, settings: Settings::new(prompt) }
    }

    /// Width and height of the result in pixels, multiples of 16, or of 32 with VAE 2.2. Default: animate has that of the pose
    /// video (replace without one that of the background); of Animate-2 the product counts, 640 x 800, with the reference's shape; others have 832 x 480, with VAE 2.2 1280 x 704.
    pub fn size(mut self, width: u32, height: u32) -> Self {
        self.settings.size = Some((width, height));
        self
    }

    /// What is to be seen. Animate's default: [`DEFAULT_PROMPT`](crate::DEFAULT_PROMPT), which it was trained with.
    pub fn prompt(mut self, prompt: impl Into<String>) -> Self {
        self.settings.prompt = prompt.into();
        self
    }

    /// What is not to be seen; used with a guidance scale above 1. Default: [`DEFAULT_NEGATIVE_PROMPT`](crate::DEFAULT_NEGATIVE_PROMPT);
    /// the models of Wan2.1 with CLIP have a few words more before it.
    pub fn negative_prompt(mut self, prompt: impl Into<String>) -> Self {
        self.settings.negative_prompt = Some(prompt.into());
        self
    }

    /// Denoising steps (of a segment, in long videos), 1 or more. Default: as many as an explicit list of noise levels has; else
    /// 20 for Animate, 40 with two experts and for Wan2.1's I2V, 50 for others.
    pub fn num_inference_steps(mut self, steps: usize) -> Self {
        self.settings.num_inference_steps = Some(steps);
        self
    }

    /// How strongly the result follows the prompt: above 1 each step costs a second pass, with the negative prompt (in Animate
    /// with an empty face too), that is led away from. Default: 1 for Animate, which is one pass; 4, then 3, for text with two
    /// experts; 3.5 for an image with two experts; 5 for others.
    pub fn guidance_scale(mut self, scale: f64) -> Self {
        self.settings.guidance_scale = Some(scale);
        self
    }

    /// The schedule's shift, above 0. Default: the checkpoint's; in the official layout that of the official command line, which for
    /// Wan2.1's I2V is 3 up to 832x480 and 5 above.
    pub fn shift(mut self, shift: f64) -> Self {
        self.settings.shift = Some(shift);
        self
    }

    /// The solver, and how it spreads the noise levels: a [`Scheduler`](crate::Scheduler), or a [`Sampler`] for both. Default:
    /// the checkpoint's.
    pub fn scheduler(mut self, sampler: impl Into<Sampler>) -> Self {
        self.settings.sampler = sampler.into();
        self
    }

    /// The noise levels of the steps, falling in (0, 1], exactly as given; the shift does not apply. For models distilled to a
    /// few steps.
    pub fn sigmas(mut self, sigmas: impl Into<Vec<f64>>) -> Self {
        self.settings.list = Some(Spacing::Sigmas(sigmas.into()));
        self
    }

    /// The timesteps of the steps, falling in (0, 1000]; the shift does not apply. The noise levels are a thousandth of them.
    pub fn timesteps(mut self, timesteps: impl Into<Vec<f64>>) -> Self {
        self.settings.list = Some(Spacing::Timesteps(timesteps.into()));
        self
    }

    /// Sets steps, noise levels, solver and guidance scale to what a model distilled to a few steps was made for.
    pub fn preset(mut self, preset: Preset) -> Self {
        preset.apply(&mut self.settings);
        self
    }

    /// The seed of the noise, the same as `torch.Generator("cpu").manual_seed(seed)` draws. Default: 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// How many videos to make, with consecutive seeds. Default: 1. [`Event::Video`](crate::Event::Video) tells them apart.
    pub fn num_videos(mut self, count: usize) -> Self {
        self.settings.num_videos = count;
        self
    }

    /// The initial noise of each segment, [C, T, H, W], in place of the seed's; Animate's T counts the reference's frame too.
    /// For one video.
    pub fn noise(mut self, segments: Vec<Latents>) -> Self {
        self.settings.noise = Some(segments);
        self
    }

    /// The noise goes on where that of another generation stood, in place of the seed's: of one that is over, that this one
    /// [continues](crate::AnimateRequest::continue_from). For one video.
    pub fn noise_from(mut self, state: &State) -> Self {
        self.settings.generator = Some(state.position.generator.clone());
        self
    }

    /// Which evaluations of the model reuse what its layers did before: a [`Cache`], or a [`CacheMethod`](crate::CacheMethod) alone. What it
    /// comes to is in the [plan](Self::plan), and each [`Step`](crate::Step) tells whether it was computed. Where it may do harm, with few steps,
    /// solvers that add noise or a LoRA for few steps, [`Event::Warning`](crate::Event::Warning) says so. Default: all are computed.
    pub fn cache(mut self, cache: impl Into<Cache>) -> Self {
        self.settings.cache = Some(cache.into());
        self
    }

    /// That tokens far from each other need not see each other, for segments of many tokens: see [`RadialAttention`]. Default: all see all.
    ///
    /// `start` fails with [`Error::Input`](crate::Error::Input) where all steps would be dense, and with
    /// [`Error::Unsupported`](crate::Error::Unsupported) for Animate-2, whose tokens see those of
    /// another video.
    pub fn radial_attention(mut self, radial: RadialAttention) -> Self {
        self.settings.radial = Some(radial);
        self
    }

    /// Whether to measure how the residual of the layers shrinks from step to step, which [`CacheMethod::Mag`](crate::CacheMethod::Mag) goes by.
    /// [`Event::Calibrated`](crate::Event::Calibrated) tells, after the last step; with another number of steps or another shift it serves as well.
    /// What is measured is the mean of tokens, as in diffusers, and of segments, with the prompt alone. All steps are computed, and memory for
    /// what the layers add is planned. Default: no.
    ///
    /// `start` fails with [`Error::Input`](crate::Error::Input) with a cache, from a saved state, and where noise levels do not fall from step to
    /// step.
    pub fn calibrate(mut self, on: bool) -> Self {
        self.settings.calibrate = on;
        self
    }

    /// Whether to send [`Event::Preview`](crate::Event::Preview) after each step; [`Latents::to_rgb`] makes pictures of it. Default: no.
    pub fn previews(mut self, on: bool) -> Self {
        self.settings.previews = on;
        self
    }

    /// Whether finished frames stay on the GPU as textures of the device, for applications that [share theirs](crate::DeviceBuilder::wgpu):
    /// [`Event::Texture`](crate::Event::Texture) is sent in place of [`Event::Frame`](crate::Event::Frame). Only where the VAE works on tiles,
    /// frames pass the host. A frame that the application keeps counts as the device's memory, and beside what was planned. Default: no.
    pub fn textures(mut self, on: bool) -> Self {
        self.settings.textures = on;
        self
    }

    /// Whether the VAE works on whole frames or on tiles. Default: whole frames where the GPU's memory allows it. The result is the same.
    pub fn vae_tiling(mut self, tiling: VaeTiling) -> Self {
        self.settings.tiling = tiling;
        self
    }

    /// How much GPU memory this generation may take, while others on the same pipeline keep to their own budgets. Default: that of the
    /// [pipeline](crate::Builder::memory_budget). The result is the same.
    pub fn memory_budget(mut self, budget: MemoryBudget) -> Self {
        self.settings.budget = Some(budget);
        self
    }

    /// Goes on from a state of the same request: all settings and inputs must be what they were, and the checkpoint, its precision
    /// and LoRAs too; the device may be another. Only frames that had not left then are made. Default: from the beginning.
    ///
    /// `start` fails with [`Error::Input`](crate::Error::Input) naming what differs.
    ///
    /// ```no_run
    /// use wan_animate::{AnimatePipeline, AnimateRequest, Error, Event, Result, State};
    ///
    /// # fn show(_: wan_animate::video::Frame) {}
    /// /// Makes all frames, on a new device if the first is lost.
    /// fn run(make: impl Fn(&AnimatePipeline) -> AnimateRequest, load: impl Fn() -> Result<AnimatePipeline>) -> Result<()> {
    ///     let mut state: Option<State> = None;
    ///     loop {
    ///         let pipeline = load()?;
    ///         let request = make(&pipeline);
    ///         let request = match state.take() {
    ///             Some(state) => request.resume(state),
    ///             None => request,
    ///         };
    ///         let mut generation = request.start()?;
    ///         let end = generation.try_for_each(|event| {
    ///             if let Event::Frame(frame) = event? {
    ///                 show(frame); // each once
    ///             }
    ///             Ok(())
    ///         });
    ///         match end {
    ///             Err(Error::DeviceLost(_)) => state = Some(generation.state()), // or `save` it, for another process
    ///             end => return end,
    ///         }
    ///     }
    /// }
    /// ```
    pub fn resume(mut self, state: State) -> Self {
        self.settings.resume = Some(state);
        self
    }

    /// What to do where another generation is at work on the device. Default: [`WhenBusy::Wait`].
    pub fn when_busy(mut self, when_busy: WhenBusy) -> Self {
        self.settings.when_busy = when_busy;
        self
    }

    /// A flag that stops the generation when it is set, or the wait for its turn.
    pub fn cancel(mut self, cancel: Cancel) -> Self {
        self.settings.cancel = cancel;
        self
    }
}

impl<T: Task> Request<T> {
    /// The same for a plan, on another pipeline.
    pub(crate) fn for_plan(&self, pipeline: &T::Pipeline) -> Self {
        Self { task: self.task.clone().on(pipeline), settings: self.settings.for_plan() }
    }

    /// The budget in bytes, if there is one.
    pub(crate) fn budget(&self, pipeline: &T::Pipeline) -> Result<Option<u64>> {
        let parts = pipeline.parts();
        self.settings.budget.map_or(Ok(parts.budget), |budget| budget.on(&parts.device))
    }

    /// What it makes, in words.
    pub(crate) fn describe(&self) -> Result<String> {
        let (width, height) = self.size_in_pixels()?;
        let draft = if self.task.pipeline().parts().decoders.draft.is_some() { ", as a draft" } else { "" };
        let frames = self.task.segments()?.segment_frames();
        let parts = match self.task.windows() {
            Some(Windows { frames: window, .. }) => format!("windows of {} frames, {frames} in all", window.min(frames)),
            None => format!("segments of {frames} frames"),
        };
        Ok(format!("{width}x{height} pixels in {parts}{draft}"))
    }

    /// With less of something, and that in words; none where there is no less of it.
    pub(crate) fn smaller(&self, reduction: Reduction) -> Option<(String, Self)> {
        let mut request = self.clone();
        let words = match reduction {
            Reduction::Tiles => request.settings.tile()?,
            Reduction::Size => request.settings.halve_size(self.task.size(), self.size_step())?,
            Reduction::Frames => request.task.halve_frames()?,
        };
        Some((words, request))
    }

    fn size_in_pixels(&self) -> Result<(usize, usize)> {
        checked_size(self.task.canvas(self.settings.size), self.size_step())
    }

    /// Sides are multiples of it: two latents to a patch.
    fn size_step(&self) -> u32 {
        2 * self.task.pipeline().parts().vae.config().pixels_per_latent() as u32
    }

    /// Checks the settings and begins, in an arrangement of which a forecast was made.
    pub(crate) fn begin(self, arrangement: Arrangement, forecast: Forecast) -> Result<Generation> {
        let (size, parts) = (self.size_in_pixels(), self.task.pipeline().parts().clone());
        let Self { task, mut settings } = self;
        settings.check()?;
        let segments = task.segments()?;
        task.check(&segments)?;
        let size @ (width, height) = size?;
        let segments = if settings.is_planned { segments.first(PLANNED_SEGMENTS) } else { segments };
        let (z, scale) = (parts.vae.config().z_dim, parts.vae.config().pixels_per_latent());
        let latents = [z, task.reference_frames() + segments.latent_frames(), height / scale, width / scale];
        let windows = task.windows();
        windows.map_or(Ok(()), |windows| windows.check().and_then(|()| settings.check_windows()))?;
        let canvas = Canvas { size, crop: task.crop(size), segments, latents, tiling: arrangement.tiling(settings.tiling), windows };
        limits::check(&parts, parts.transformer.config(), &canvas)?;
        settings.given = task.given(size)?;
        settings.shift = settings.shift.or_else(|| task.shift(width * height));
        let plan = settings.plan(&parts.scheduler, task.steps())?;
        check_radial(settings.radial, &task, plan.evaluations.len())?;
        let caching = task.clone();
        let job = task.job(&settings, canvas, arrangement);
        let mut warnings = caching::warnings(settings.cache.as_ref(), &caching, &plan);
        warnings.extend(parts.decoders.draft.as_ref().map(|_| DRAFT.to_string()));
        let course = caching::course(&settings, &caching, width * height, plan, &*job)?;
        let mut description = Description::of(&parts);
        job.describe(&mut description)?;
        let mut generation = Generation::new(&parts, settings, course, canvas, description, job, forecast)?;
        warnings.into_iter().for_each(|warning| generation.warn(warning));
        Ok(generation)
    }
}

/// Whether there are steps in which tokens need not see all others.
fn check_radial<T: Task>(radial: Option<RadialAttention>, task: &T, steps: usize) -> Result<()> {
    match radial {
        Some(_) if task.driving_cache().is_some() => {
            Err(Error::Unsupported("radial attention with Animate-2, whose tokens see those of the driving video beside their own".into()))
        }
        Some(radial) if radial.dense_steps >= steps => {
            Err(Error::Input(format!("radial attention with {} dense steps of {steps}; fewer must be", radial.dense_steps)))
        }
        _ => Ok(()),
    }
}
