//! The settings that all generations have, their defaults and their validation.

use std::sync::Arc;

use crate::cache::{method::CacheMethod, settings::Cache};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::gpu::WhenBusy;
use crate::models::dit::radial::RadialAttention;
use crate::models::vae::tiling::VaeTiling;
use crate::pipelines::run::{
    budget::MemoryBudget, canvas::Canvas, description::Description, latents::Latents, state::Position, state::State,
};
use crate::rng::Generator;
use crate::schedulers::{Sampler, SchedulerConfig, SolverPlan, Spacing};

/// What guidance leads away from where no negative prompt is given, as in the official release.
pub const DEFAULT_NEGATIVE_PROMPT: &str = "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，\
JPEG压缩残留，丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，\
杂乱的背景，三条腿，背景人很多，倒着走";

/// See the setters of [`Request`](crate::Request).
#[derive(Clone, Debug, Default)]
pub struct Settings {
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
    /// Where the noise goes on, in place of the seed's.
    pub generator: Option<Generator>,
    /// Frames [F, H, W, 3] in [-1, 1] that each video begins with and that were made before.
    pub given: Option<Arc<Vec<f32>>>,
    /// What is reused; without one, nothing.
    pub cache: Option<Cache>,
    /// Which tokens see which; without it, all see all.
    pub radial: Option<RadialAttention>,
    /// Whether what a cache goes by is measured.
    pub calibrate: bool,
    /// How far colours of a segment are held to those of the one before, 0 to 1.
    pub color_anchor: f64,
    pub previews: bool,
    /// Whether frames stay on the GPU.
    pub textures: bool,
    pub resume: Option<State>,
    pub tiling: VaeTiling,
    /// Where it is another than the pipeline's.
    pub budget: Option<MemoryBudget>,
    pub when_busy: WhenBusy,
    pub cancel: Cancel,
    /// Whether a plan is made of it, which looks at as much as the rest is like.
    pub is_planned: bool,
}

impl Settings {
    /// The defaults.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: prompt.into(), num_videos: 1, ..Self::default() }
    }

    /// The same for a plan, which is of one run from its beginning.
    pub fn for_plan(&self) -> Self {
        Self { resume: None, num_videos: 1, is_planned: true, ..self.clone() }
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
        if let Some(cache) = &self.cache {
            cache.check()?;
        }
        self.radial.map_or(Ok(()), RadialAttention::check)?;
        if self.calibrate && self.cache.is_some() {
            return Err(Error::Input(
                "calibration with a cache: what is measured must be computed in each step; leave one of them out".into(),
            ));
        }
        if self.calibrate && self.resume.is_some() {
            return Err(Error::Input("calibration that goes on from a saved state: it must see all steps; start anew".into()));
        }
        self.check_color_anchor()?;
        if self.num_videos == 0 {
            return Err(Error::Input("0 videos; at least 1 is needed".into()));
        }
        if self.noise.is_some() && self.num_videos > 1 {
            return Err(Error::Input(format!("initial noise for one video and {} videos to make", self.num_videos)));
        }
        if self.generator.is_some() && self.num_videos > 1 {
            return Err(Error::Input(format!("noise that goes on from a state, and {} videos to make; it can be one", self.num_videos)));
        }
        Ok(())
    }

    /// What is wrong where the model looks at windows.
    pub fn check_windows(&self) -> Result<()> {
        match &self.cache {
            Some(cache) if !matches!(cache.method, CacheMethod::Easy { .. }) => Err(Error::Input(format!(
                "the cache `{}` with windows: each of them would need what layers did for it; take `easy`, which keeps predictions alone",
                cache.method
            ))),
            _ if self.calibrate => Err(Error::Input("calibration with windows: what layers do is compared in segments alone".into())),
            _ => Ok(()),
        }
    }

    fn check_color_anchor(&self) -> Result<()> {
        match self.color_anchor {
            strength if !(0.0..=1.0).contains(&strength) => {
                Err(Error::Input(format!("a color anchor of strength {strength}; it must be 0 to 1")))
            }
            strength if strength > 0.0 && self.textures => {
                let message = "a color anchor for frames that stay on the GPU: it works on the host; leave out `textures` or the anchor";
                Err(Error::Input(message.into()))
            }
            _ => Ok(()),
        }
    }

    /// The beginning of a video.
    pub(crate) fn start(&self, video: usize) -> Position {
        let own = || Generator::new(self.seed.wrapping_add(video as u64));
        let generator = self.generator.clone().unwrap_or_else(own);
        Position { video, segment: 0, denoised: None, generator, carried: self.given.clone() }
    }

    /// Adds what of these settings the frames depend on.
    pub fn describe(&self, plan: &SolverPlan, canvas: &Canvas, description: &mut Description) {
        let (width, height) = canvas.size;
        description.set("release", env!("CARGO_PKG_VERSION"));
        description.set("size", format!("{width}x{height}"));
        description.set("frames", canvas.segments.frames());
        description.set("steps", plan.evaluations.len());
        description.set("schedule", Digest::of(format!("{plan:?}").as_bytes()));
        if let Some(cache) = &self.cache {
            description.set("cache", format!("{cache:?}"));
        }
        if let Some(radial) = self.radial {
            description.set("radial attention", radial);
        }
        if self.color_anchor > 0.0 {
            description.set("color anchor", self.color_anchor);
        }
        description.set("seed", self.seed);
        description.set("number of videos", self.num_videos);
        if let Some(noise) = &self.noise {
            let values = noise.iter().flat_map(|latents| &latents.values).flat_map(|value| value.to_le_bytes());
            description.set("noise", Digest::of(&values.collect::<Vec<_>>()));
        }
        if let Some(generator) = &self.generator {
            description.set("noise from", Digest::of(bytemuck::cast_slice(&generator.words())));
        }
        if let Some(given) = &self.given {
            description.set("frames to continue from", Digest::of(bytemuck::cast_slice(given)));
        }
    }

    /// The plan with these settings over the checkpoint's scheduler.
    pub fn plan(&self, scheduler: &SchedulerConfig, default_steps: usize) -> Result<SolverPlan> {
        let mut config = scheduler.clone().with_sampler(self.sampler.clone());
        if let Some(list) = &self.list {
            config = config.with_spacing(list.clone());
        }
        if let Some(shift) = self.shift {
            config = config.with_shift(shift);
        }
        config.plan(self.num_inference_steps.or(config.steps()).unwrap_or(default_steps))
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

/// Width and height in pixels, if they are multiples of `step`.
pub(crate) fn checked_size(size: Option<(u32, u32)>, step: u32) -> Result<(usize, usize)> {
    let Some((width, height)) = size else {
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

pub(crate) fn check_guidance(scale: Option<f64>) -> Result<()> {
    match scale.filter(|scale| !scale.is_finite() || *scale < 0.0) {
        Some(scale) => Err(Error::Input(format!("a guidance scale of {scale}; it must be 0 or more"))),
        None => Ok(()),
    }
}
