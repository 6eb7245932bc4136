//! The autoencoders: their signs, and a configuration from tensors' names and shapes.

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::models::spec::{Sizes, Spec, config_json};
use crate::models::vae::names::{OFFICIAL_2_1, OFFICIAL_2_1_SHALLOW, OFFICIAL_2_2};
use crate::models::vae::{Vae, config::Config};
use crate::weights::checkpoint::Weights;

/// Mean and deviation of the 48 latent channels of VAE 2.2, from the official `vae2_2.py`.
const STATS_2_2: [[f64; 48]; 2] = [
    [
        -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891, 0.157, -0.0098, 0.0375,
        -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502, -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899,
        -0.2799, -0.123, -0.0313, -0.1649, 0.0117, 0.0723, -0.2839, -0.2083, -0.052, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573,
        -0.0548, -0.1681, -0.0667,
    ],
    [
        0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.499, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901, 0.6885, 0.6165, 0.8454, 0.4978,
        0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659, 0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093,
        0.5709, 0.6065, 0.6415, 0.4944, 0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.06, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
    ],
];

/// Of Wan 2.1, and of Wan 2.2's 14B models.
pub static VAE_2_1: Spec = Spec {
    name: "a VAE 2.1",
    signs: &["encoder.down_blocks.0.norm1.gamma", "decoder.up_blocks.0.upsamplers.0.resample.1.weight"],
    tables: &[&OFFICIAL_2_1, &OFFICIAL_2_1_SHALLOW],
    kin: None,
    unneeded: &[],
    besides: &[],
    stem: "diffusion_pytorch_model",
    architecture: "wan",
    config: Config::json,
    load: |loader, weights| Vae::load(loader, &Config::of(weights)?).map(drop),
};

/// Of Wan 2.2's 5B model.
pub static VAE_2_2: Spec = Spec {
    name: "a VAE 2.2",
    signs: &["encoder.down_blocks.0.resnets.0.norm1.gamma", "decoder.up_blocks.0.upsampler.resample.1.weight"],
    tables: &[&OFFICIAL_2_2],
    ..VAE_2_1
};

impl Sizes for Config {
    fn is_described(json: &Value) -> bool {
        json.get("_class_name").and_then(Value::as_str).is_some_and(|class| class.starts_with("AutoencoderKLWan"))
    }

    /// The sizes of the autoencoder in `weights`. The statistics of its latents, which no tensor tells, are those of the published VAE with as
    /// many channels: 16 for VAE 2.1, 48 for VAE 2.2.
    ///
    /// # Errors
    /// [`Error::Weights`] where a tensor that tells sizes is missing, or the statistics are not known.
    fn detect(weights: &Weights) -> Result<Self> {
        let is_residual = VAE_2_2.is_in(weights);
        let [base_dim, in_channels, ..] = weights.extents::<5>("encoder.conv_in.weight")?;
        let [z_dim, ..] = weights.extents::<5>("post_quant_conv.weight")?;
        let [out_channels, full, ..] = weights.extents::<5>("decoder.conv_out.weight")?;
        let levels = if is_residual { levels_2_2(weights)? } else { levels_2_1(weights)? };
        let dim_mult = levels.iter().map(|level| level.outputs / base_dim.max(1)).collect::<Vec<_>>();
        let first = dim_mult.first().copied().unwrap_or(1).max(1);
        let patch = (in_channels / 3).isqrt();
        let (latents_mean, latents_std) = match z_dim {
            16 => (Config::default().latents_mean, Config::default().latents_std),
            48 => STATS_2_2.map(|stats| stats.to_vec()).into(),
            _ => {
                let message = format!("the statistics of {z_dim} latent channels are not known: give a folder with the VAE's config.json");
                return Err(Error::weights(weights.path(), message));
            }
        };
        Ok(Config {
            base_dim,
            decoder_base_dim: Some(full / first),
            z_dim,
            dim_mult,
            num_res_blocks: levels.first().map_or(0, |level| level.blocks),
            temperal_downsample: levels.iter().filter_map(|level| level.step).collect(),
            latents_mean,
            latents_std,
            is_residual,
            in_channels,
            out_channels,
            patch_size: (patch > 1).then_some(patch),
            scale_factor_temporal: None,
            scale_factor_spatial: None,
            ..Config::default()
        })
    }

    fn to_json(&self) -> Value {
        let factors = (self.frames_per_latent(), self.pixels_per_latent());
        let facts = json!({"_class_name": "AutoencoderKLWan", "scale_factor_temporal": factors.0, "scale_factor_spatial": factors.1});
        config_json(self, facts)
    }
}

/// A level of the encoder.
#[derive(Default)]
struct Level {
    outputs: usize,
    blocks: usize,
    /// The step to the next level; whether it halves the frames too.
    step: Option<bool>,
}

impl Level {
    fn add_block(&mut self, weights: &Weights, name: &str) -> Result<()> {
        [self.outputs, ..] = weights.extents::<5>(&format!("{name}.conv1.weight"))?;
        self.blocks += 1;
        Ok(())
    }
}

/// VAE 2.1 numbers blocks and steps in one row.
fn levels_2_1(weights: &Weights) -> Result<Vec<Level>> {
    let (mut levels, mut level) = (Vec::new(), Level::default());
    for i in 0.. {
        let name = format!("encoder.down_blocks.{i}");
        if weights.contains(&format!("{name}.conv1.weight")) {
            level.add_block(weights, &name)?;
        } else if weights.contains(&format!("{name}.resample.1.weight")) {
            level.step = Some(weights.contains(&format!("{name}.time_conv.weight")));
            levels.push(std::mem::take(&mut level));
        } else {
            break;
        }
    }
    levels.push(level);
    Ok(levels)
}

fn levels_2_2(weights: &Weights) -> Result<Vec<Level>> {
    let count = weights.count("encoder.down_blocks.");
    let level = |i: usize| {
        let (name, mut level) = (format!("encoder.down_blocks.{i}"), Level::default());
        for block in 0..weights.count(&format!("{name}.resnets.")) {
            level.add_block(weights, &format!("{name}.resnets.{block}"))?;
        }
        let has_step = weights.contains(&format!("{name}.downsampler.resample.1.weight"));
        level.step = has_step.then(|| weights.contains(&format!("{name}.downsampler.time_conv.weight")));
        Ok(level)
    };
    (0..count).map(level).collect()
}
