//! The signs of a tiny decoder, and its sizes from the shapes of tensors.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::models::spec::{Sizes, Spec, config_json};
use crate::models::taehv::TinyDecoder;
use crate::models::taehv::config::{Config, LEVELS};
use crate::weights::checkpoint::Weights;

/// `taew2_1`, `lighttaew2_1` and `taew2_2`.
pub static TAEHV: Spec = Spec {
    name: "a tiny decoder (TAEHV)",
    signs: &["decoder.3.conv.0.weight"],
    tables: &[],
    kin: None,
    unneeded: &["encoder."],
    besides: &[],
    stem: "diffusion_pytorch_model",
    architecture: "taehv",
    config: Config::json,
    load: |loader, weights| TinyDecoder::load(loader, &Config::of(weights)?).map(drop),
};

impl Sizes for Config {
    /// None is published.
    fn is_described(_json: &Value) -> bool {
        false
    }

    fn detect(weights: &Weights) -> Result<Self> {
        let [first, latent_channels, ..] = weights.extents::<4>("decoder.1.weight")?;
        let (mut widths, mut frames) = ([first; LEVELS + 1], [1; LEVELS]);
        for level in 0..LEVELS {
            let [grown, width, ..] = weights.extents::<4>(&format!("decoder.{}.conv.weight", 7 + 6 * level))?;
            [widths[level + 1], ..] = weights.extents::<4>(&format!("decoder.{}.weight", 8 + 6 * level))?;
            frames[level] = grown / width.max(1);
        }
        let [samples, ..] = weights.extents::<4>("decoder.22.weight")?;
        let patch = (samples / 3).isqrt();
        match 3 * patch * patch == samples {
            true => Ok(Self { latent_channels, widths, frames, patch }),
            false => {
                Err(Error::tensor(weights.path(), "decoder.22.weight", format!("{samples} outputs, expected 3 for each pixel of a patch")))
            }
        }
    }

    fn to_json(&self) -> Value {
        config_json(self, serde_json::json!({}))
    }
}
