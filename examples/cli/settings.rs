//! The settings that all requests have.

use std::path::PathBuf;

use super::cache::CacheOptions;
use clap::Args;
use wan_animate::{Latents, Preset, RadialAttention, Request, Result, Sampler, State, VaeTiling};

use super::safety::SafetyArguments;

#[derive(Args, Debug)]
pub struct Settings {
    /// Width in pixels, a multiple of 16 (32 for TI2V); goes with --height. By default the pose video's, or what the model was made for.
    #[arg(long, requires = "height")]
    width: Option<u32>,
    /// Height in pixels, a multiple of 16 (32 for TI2V); goes with --width.
    #[arg(long, requires = "width")]
    height: Option<u32>,
    /// Denoising steps; by default the model's own number, or as many as --sigmas or --timesteps has.
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Above 1, each step costs a second pass.
    #[arg(long, value_name = "X")]
    guidance_scale: Option<f64>,
    /// The schedule's shift; by default the checkpoint's.
    #[arg(long, value_name = "X")]
    shift: Option<f64>,
    /// The solver and its spacing, such as unipc, "DPM++ 2M Karras", "Euler a" or lcm; by default the checkpoint's.
    #[arg(long, value_name = "NAME")]
    scheduler: Option<Sampler>,
    /// The noise levels of the steps, falling in (0, 1].
    #[arg(long, value_name = "A,B,..", value_delimiter = ',', conflicts_with = "timesteps")]
    sigmas: Vec<f64>,
    /// The timesteps of the steps, falling in (0, 1000].
    #[arg(long, value_name = "A,B,..", value_delimiter = ',')]
    timesteps: Vec<f64>,
    /// Steps, solver and guidance of a few-step model: animate-6, animate-6-comfy, animate-4, animate-2-6, lightx2v, lightning or
    /// causvid, for which a --lora is needed. Other options overrule it.
    #[arg(long, value_name = "NAME")]
    preset: Option<Preset>,
    #[command(flatten)]
    pub cache: CacheOptions,
    /// Self-attention that looks the less at a frame the farther away it is, for segments of many tokens: 0.2 or 0.8, the width of what is seen.
    /// All is seen in the first blocks and steps, one of each. Results are others; --plan says what it saves.
    #[arg(long, value_name = "DECAY[:BLOCKS[:STEPS]]")]
    radial_attention: Option<RadialAttention>,
    /// What is not to be seen, where the guidance scale is above 1; by default the official long list of flaws.
    #[arg(long, value_name = "TEXT")]
    negative_prompt: Option<String>,
    /// The seed of the noise, the same as PyTorch's on the CPU.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// The initial noise in place of the seed's: a safetensors file of segment_0, segment_1, .. each [C, T, H, W] in
    /// latent frames and pixels; Animate's T is one more, for the reference.
    #[arg(long, value_name = "FILE")]
    noise: Option<PathBuf>,
    /// Whether the VAE works in tiles: auto (where memory is too small for whole frames), off, or their size in pixels.
    #[arg(long, value_name = "auto|off|PIXELS", default_value = "auto")]
    vae_tiling: VaeTiling,
    /// Writes this picture anew after each step: the estimate of the result, small, its latent frames side by side.
    #[arg(long, value_name = "PNG")]
    pub preview: Option<PathBuf>,
    /// Saves the run's state to this file after each step, and finished frames to FILE.frames; if the file is there already, goes on
    /// from it. The same options must be given. Both files are removed at the end.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    #[command(flatten)]
    pub safety: SafetyArguments,
}

impl Settings {
    /// Width and height, where they are given.
    pub fn size(&self) -> Option<(u32, u32)> {
        self.width.zip(self.height)
    }

    pub fn apply<T>(&self, request: Request<T>) -> Result<Request<T>> {
        let mut request = request.seed(self.seed).vae_tiling(self.vae_tiling);
        if let Some(preset) = self.preset {
            request = request.preset(preset);
        }
        if let (Some(width), Some(height)) = (self.width, self.height) {
            request = request.size(width, height);
        }
        if let Some(steps) = self.steps {
            request = request.num_inference_steps(steps);
        }
        if let Some(scale) = self.guidance_scale {
            request = request.guidance_scale(scale);
        }
        if let Some(shift) = self.shift {
            request = request.shift(shift);
        }
        if let Some(sampler) = &self.scheduler {
            request = request.scheduler(sampler.clone());
        }
        if !self.sigmas.is_empty() {
            request = request.sigmas(&self.sigmas[..]);
        }
        if !self.timesteps.is_empty() {
            request = request.timesteps(&self.timesteps[..]);
        }
        if let Some(prompt) = &self.negative_prompt {
            request = request.negative_prompt(prompt);
        }
        if let Some(cache) = self.cache.cache()? {
            request = request.cache(cache);
        }
        if let Some(radial) = self.radial_attention {
            request = request.radial_attention(radial);
        }
        request = request.calibrate(self.cache.calibrate.is_some());
        request = request.previews(self.preview.is_some());
        if let Some(file) = &self.noise {
            request = request.noise(Latents::read_segments(file)?);
        }
        if let Some(file) = self.state.as_ref().filter(|file| file.exists()) {
            request = request.resume(State::open(file)?);
        }
        Ok(request)
    }
}
