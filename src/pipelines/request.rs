//! The settings that all generations have, their defaults and their validation.

use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::models::vae::tiling::VaeTiling;
use crate::pipelines::canvas::Canvas;
use crate::pipelines::description::Description;
use crate::pipelines::latents::Latents;
use crate::pipelines::preset::Preset;
use crate::pipelines::state::State;
use crate::schedulers::{Plan, Sampler, SchedulerConfig, Spacing};

/// What guidance leads away from where no negative prompt is given, as in the official release.
pub const DEFAULT_NEGATIVE_PROMPT: &str = "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，\
JPEG压缩残留，丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，\
杂乱的背景，三条腿，背景人很多，倒着走";

/// A generation that is being described. Every setting has a default; `start` checks them all.
///
/// `T` is what is made of what: see [`AnimateRequest`](crate::AnimateRequest) and [`VideoRequest`](crate::VideoRequest).
#[derive(Clone, Debug)]
#[must_use = "nothing happens before `start`"]
pub struct Request<T> {
    pub(crate) task: T,
    pub(crate) settings: Settings,
}

/// See the setters of [`Request`].
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub size: Option<(u32, u32)>,
    pub prompt: String,
    pub negative_prompt: Option<String>,
    pub num_inference_steps: Option<usize>,
    pub guidance_scale: Option<f64>,
    pub shift: Option<f64>,
    pub sampler: Sampler,
    /// An explicit list in place of the sampler's spacing.
    pub list: Option<Spacing>,
    pub seed: u64,
    pub num_videos: usize,
    pub noise: Option<Vec<Latents>>,
    pub previews: bool,
    pub resume: Option<State>,
    pub tiling: VaeTiling,
    pub cancel: Cancel,
}

impl<T> Request<T> {
    pub(crate) fn new(task: T, prompt: impl Into<String>) -> Self {
        let settings = Settings {
            size: None,
            prompt: prompt.into(),
            negative_prompt: None,
            num_inference_steps: None,
            guidance_scale: None,
            shift: None,
            sampler: Sampler::default(),
            list: None,
            seed: 0,
            num_videos: 1,
            noise: None,
            previews: false,
            resume: None,
            tiling: VaeTiling::default(),
            cancel: Cancel::new(),
        };
        Self { task, settings }
    }

    /// Width and height of the result in pixels, multiples of 16, or of 32 with VAE 2.2. Default: animate has that of the pose
    /// video (replace without one that of the background); others have 832 x 480, with VAE 2.2 1280 x 704.
    pub fn size(mut self, width: u32, height: u32) -> Self {
        self.settings.size = Some((width, height));
        self
    }

    /// What is to be seen. Animate's default: [`DEFAULT_PROMPT`](crate::DEFAULT_PROMPT), which it was trained with.
    pub fn prompt(mut self, prompt: impl Into<String>) -> Self {
        self.settings.prompt = prompt.into();
        self
    }

    /// What is not to be seen; used with a guidance scale above 1. Default: [`DEFAULT_NEGATIVE_PROMPT`]; the models of Wan2.1 with CLIP
    /// have a few words more before it.
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
    pub fn preset(self, preset: Preset) -> Self {
        preset.apply(self)
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

    /// Whether to send [`Event::Preview`](crate::Event::Preview) after each step. Default: no.
    pub fn previews(mut self, on: bool) -> Self {
        self.settings.previews = on;
        self
    }

    /// Whether the VAE works on whole frames or on tiles. Default: whole frames where the GPU's memory allows it. The result is the same.
    pub fn vae_tiling(mut self, tiling: VaeTiling) -> Self {
        self.settings.tiling = tiling;
        self
    }

    /// Goes on from a state of the same request: all settings and inputs must be what they were, and the checkpoint, its precision
    /// and LoRAs too; the device may be another. Only frames that had not left then are made. Default: from the beginning.
    ///
    /// `start` fails with [`Error::Input`](crate::Error::Input) naming what differs.
    pub fn resume(mut self, state: State) -> Self {
        self.settings.resume = Some(state);
        self
    }

    /// A flag that stops the generation when it is set.
    pub fn cancel(mut self, cancel: Cancel) -> Self {
        self.settings.cancel = cancel;
        self
    }
}

impl Settings {
    /// The same for a plan, which is of one run from its beginning.
    pub fn for_plan(&self) -> Self {
        Self { resume: None, num_videos: 1, ..self.clone() }
    }

    /// What is wrong with the plain numbers.
    pub fn check(&self) -> Result<()> {
        if self.num_inference_steps == Some(0) {
            return Err(Error::Input("0 inference steps; at least 1 is needed".into()));
        }
        check_guidance(self.guidance_scale)?;
        if let Some(shift) = self.shift.filter(|shift| !shift.is_finite() || *shift <= 0.0) {
            return Err(Error::Input(format!("a shift of {shift}; it must be above 0")));
        }
        if let VaeTiling::Pixels(pixels @ ..64) = self.tiling {
            return Err(Error::Input(format!("VAE tiles of {pixels} pixels; they must have at least 64")));
        }
        if self.num_videos == 0 {
            return Err(Error::Input("0 videos; at least 1 is needed".into()));
        }
        if self.noise.is_some() && self.num_videos > 1 {
            return Err(Error::Input(format!("initial noise for one video and {} videos to make", self.num_videos)));
        }
        Ok(())
    }

    /// Adds what of these settings the frames depend on.
    pub fn describe(&self, plan: &Plan, canvas: &Canvas, description: &mut Description) {
        let (width, height) = canvas.size;
        description.set("release", env!("CARGO_PKG_VERSION"));
        description.set("size", format!("{width}x{height}"));
        description.set("frames", canvas.segments.frames());
        description.set("steps", plan.evaluations.len());
        description.set("schedule", Digest::of(format!("{plan:?}").as_bytes()));
        description.set("seed", self.seed);
        description.set("number of videos", self.num_videos);
        if let Some(noise) = &self.noise {
            let values = noise.iter().flat_map(|latents| &latents.values).flat_map(|value| value.to_le_bytes());
            description.set("noise", Digest::of(&values.collect::<Vec<_>>()));
        }
    }

    /// The plan with these settings over the checkpoint's scheduler.
    pub fn plan(&self, scheduler: &SchedulerConfig, default_steps: usize) -> Result<Plan> {
        let mut config = scheduler.clone().with_sampler(self.sampler.clone());
        if let Some(list) = &self.list {
            config = config.with_spacing(list.clone());
        }
        if let Some(shift) = self.shift {
            config = config.with_shift(shift);
        }
        config.plan(self.num_inference_steps.or(config.steps()).unwrap_or(default_steps))
    }

    /// Width and height, those of `natural` where none are set, if they are multiples of `step`.
    pub fn checked_size(&self, natural: Option<(u32, u32)>, step: u32) -> Result<(usize, usize)> {
        let Some((width, height)) = self.size.or(natural) else {
            return Err(Error::Input("there is no pose video to take the size from: set `size`".into()));
        };
        if width == 0 || height == 0 || width % step != 0 || height % step != 0 {
            return Err(Error::Input(format!(
                "a size of {width}x{height}: width and height must be multiples of {step}; {}x{} would do",
                (width / step).max(1) * step,
                (height / step).max(1) * step
            )));
        }
        Ok((width as usize, height as usize))
    }

    /// Half the size, if that is one: rounded down to multiples of `step`. In words.
    pub fn halve_size(&mut self, natural: Option<(u32, u32)>, step: u32) -> Option<String> {
        let before @ (width, height) = self.size.or(natural)?;
        let [width, height] = [width, height].map(|side| (side / 2 / step * step).max(step));
        self.size = Some((width, height));
        ((width, height) != before).then(|| format!("{width}x{height} pixels"))
    }

    /// Leaves the VAE's tiles open, if they are not. In words.
    pub fn tile(&mut self) -> Option<String> {
        let before = std::mem::take(&mut self.tiling);
        (before != VaeTiling::Auto).then(|| "automatic VAE tiling".into())
    }

    /// The prompt, and the negative one where there is guidance; the default one has `flaws` before it.
    pub fn prompts(&self, guided: bool, flaws: &str) -> Vec<String> {
        let default = || format!("{flaws}{DEFAULT_NEGATIVE_PROMPT}");
        let negative = guided.then(|| self.negative_prompt.clone().unwrap_or_else(default));
        std::iter::once(self.prompt.clone()).chain(negative).collect()
    }
}

pub(crate) fn check_guidance(scale: Option<f64>) -> Result<()> {
    match scale.filter(|scale| !scale.is_finite() || *scale < 0.0) {
        Some(scale) => Err(Error::Input(format!("a guidance scale of {scale}; it must be 0 or more"))),
        None => Ok(()),
    }
}
