//! Settings that models distilled to a few steps were made for.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::pipelines::run::settings::Settings;
use crate::schedulers::{Scheduler, Spacing};

/// Timesteps 1000, 750, 500 and 250 of 1000, shifted by 5: 5 x / (1 + 4 x).
const FOUR_STEPS: [f64; 4] = [1.0, 0.9375, 5.0 / 6.0, 0.625];

/// Six equal steps, shifted by 5 and by 8.
const SIX_STEPS: [f64; 6] = [1.0, 25.0 / 26.0, 10.0 / 11.0, 5.0 / 6.0, 5.0 / 7.0, 0.5];
const SIX_STEPS_8: [f64; 6] = [1.0, 40.0 / 41.0, 16.0 / 17.0, 8.0 / 9.0, 0.8, 8.0 / 13.0];

/// Few-step LoRAs of lightx2v for Wan2.1's I2V, and Animate's own for the light of a scene.
const LIGHTX2V_I2V: &str = "lightx2v_I2V_14B_480p_cfg_step_distill_rank64_bf16.safetensors";
const LIGHTX2V_OFFICIAL: &str = "Wan2.1-Distill-Loras: wan2.1_i2v_lora_rank64_lightx2v_4step.safetensors";
const RELIGHT: &str = "WanAnimate_relight_lora_fp16.safetensors";

/// A few-step distillation, by the name that its weights go by. All of them have guidance in the weights, so the guidance scale
/// is 1: one pass a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Preset {
    /// The 4-step distillations of Wan 2.1 by lightx2v (`Wan2.1-Distill-Loras`, `...StepDistill-CfgDistill...`), which Animate
    /// takes too: Euler, four steps at shift 5. From LightX2V's `configs/distill/wan21`. `lightx2v`.
    Lightx2v,
    /// The 4-step distillations of Wan2.2's pairs of experts (`Wan2.2-Lightning`, `Wan2.2-Distill-Loras`): Euler, two steps by
    /// each expert at shift 5. From Wan2.2-Lightning's `wan/configs` and LightX2V's `configs/distill/wan22`. `lightning`.
    Lightning,
    /// The CausVid distillation as a LoRA for Wan 2.1 (`Wan21_CausVid_14B_T2V_lora_rank32`): UniPC, twelve steps at shift 7. From
    /// the instructions of WanGP, which load it at strength 0.3; the
    /// solver is the one that users report. `causvid`.
    CausVid,
    /// What most who use Animate run: a distillation for Wan 2.1's I2V (`lightx2v_I2V_14B_480p_cfg_step_distill_rank64`, at strength 1 to
    /// 1.2) beside Animate's `relight` LoRA (at 0.3 to 1): six equal steps at shift 5, from kijai's example workflow. There the solver is
    /// `dpm++ sde`, which takes two evaluations a step; here it is Euler. LoRAs that were made for Wan 2.2 do harm. `animate-6`.
    Animate6,
    /// The same at shift 8, as in ComfyUI's template. `animate-6-comfy`.
    Animate6Comfy,
    /// Four steps at shift 5 with the same distillation at strength 1, and no other LoRA: from LightX2V's configuration for Animate.
    /// `animate-4`.
    Animate4,
    /// The base model of Animate-2 with the same distillation at strength 1, and no other LoRA: LCM, six equal steps at shift 5, from ComfyUI's
    /// template. The distilled model needs none. `animate-2-6`.
    Animate2Six,
}

impl Preset {
    /// The LoRAs that the preset is for, by the names that their files are published under, each with its usual strength. A pipeline is
    /// [built](crate::Builder::lora) with them.
    pub fn loras(self) -> &'static [(&'static str, f32)] {
        match self {
            Self::Lightx2v | Self::Animate4 => &[(LIGHTX2V_OFFICIAL, 1.0)],
            Self::Lightning => &[("Wan2.2-Lightning: high_noise_model.safetensors, low_noise_model.safetensors", 1.0)],
            Self::CausVid => &[("Wan21_CausVid_14B_T2V_lora_rank32.safetensors", 0.3)],
            Self::Animate6 | Self::Animate6Comfy => &[(LIGHTX2V_I2V, 1.0), (RELIGHT, 1.0)],
            Self::Animate2Six => &[(LIGHTX2V_I2V, 1.0)],
        }
    }

    pub(crate) fn apply(self, settings: &mut Settings) {
        let (scheduler, shift, steps, list) = match self {
            Self::Lightx2v | Self::Lightning | Self::Animate4 => (Scheduler::Euler, 5.0, 4, Some(Spacing::Sigmas(FOUR_STEPS.into()))),
            Self::Animate6 => (Scheduler::Euler, 5.0, 6, Some(Spacing::Sigmas(SIX_STEPS.into()))),
            Self::Animate2Six => (Scheduler::Lcm, 5.0, 6, Some(Spacing::Sigmas(SIX_STEPS.into()))),
            Self::Animate6Comfy => (Scheduler::Euler, 8.0, 6, Some(Spacing::Sigmas(SIX_STEPS_8.into()))),
            Self::CausVid => (Scheduler::UniPc, 7.0, 12, None),
        };
        settings.guidance_scale = Some(1.0);
        settings.sampler = scheduler.into();
        settings.shift = Some(shift);
        settings.num_inference_steps = Some(steps);
        settings.list = list.or(settings.list.take());
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Lightx2v => "lightx2v",
            Self::Lightning => "lightning",
            Self::CausVid => "causvid",
            Self::Animate6 => "animate-6",
            Self::Animate6Comfy => "animate-6-comfy",
            Self::Animate4 => "animate-4",
            Self::Animate2Six => "animate-2-6",
        })
    }
}

crate::as_text::as_text!(Preset);

impl FromStr for Preset {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name.to_lowercase().as_str() {
            "lightx2v" => Ok(Self::Lightx2v),
            "lightning" => Ok(Self::Lightning),
            "causvid" => Ok(Self::CausVid),
            "animate-6" => Ok(Self::Animate6),
            "animate-6-comfy" => Ok(Self::Animate6Comfy),
            "animate-4" => Ok(Self::Animate4),
            "animate-2-6" => Ok(Self::Animate2Six),
            _ => Err(Error::Input(format!(
                "unknown preset `{name}`: choose animate-6, animate-6-comfy, animate-4, animate-2-6, lightx2v, lightning or causvid"
            ))),
        }
    }
}
