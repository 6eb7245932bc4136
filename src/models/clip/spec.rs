//! The image encoder: its signs, and its configuration from its tensors' shapes.

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::models::clip::{VisionModel, config::Config, names::OFFICIAL};
use crate::models::spec::{Sizes, Spec, config_json};
use crate::weights::checkpoint::Weights;

/// Widths of heads, the first that divides the encoder's: those of ViT-H, which Wan uses, and of smaller ones.
const HEAD_DIMS: [usize; 2] = [80, 64];

pub static CLIP: Spec = Spec {
    name: "a CLIP image encoder",
    signs: &["pre_layrnorm.weight", "vision_model.pre_layrnorm.weight"],
    tables: &[&OFFICIAL],
    // The projection to the space of texts, in ComfyUI's file.
    kin: None,
    unneeded: &["visual_projection."],
    besides: &[],
    stem: "model",
    architecture: "clip",
    config: Config::json,
    load: |loader, weights| VisionModel::load(loader, &Config::of(weights)?).map(drop),
};

impl Sizes for Config {
    fn is_described(json: &Value) -> bool {
        json.get("hidden_size").is_some() && json.get("patch_size").is_some()
    }

    /// The sizes of the vision tower in `weights`. What shapes do not tell is as in ViT-H: heads of 80 (64 where the width is no multiple of
    /// that), GELU, epsilon 1e-5.
    ///
    /// # Errors
    /// [`Error::Weights`] where a tensor that tells sizes is missing, or no heads fit.
    fn detect(weights: &Weights) -> Result<Self> {
        let prefix = if weights.contains("vision_model.pre_layrnorm.weight") { "vision_model." } else { "" };
        let [width, channels, patch, _] = weights.extents(&format!("{prefix}embeddings.patch_embedding.weight"))?;
        let [tokens, _] = weights.extents(&format!("{prefix}embeddings.position_embedding.weight"))?;
        let [hidden, _] = weights.extents(&format!("{prefix}encoder.layers.0.mlp.fc1.weight"))?;
        let head_dim = HEAD_DIMS.into_iter().find(|dim| width % dim == 0).ok_or_else(|| {
            let message =
                format!("a width of {width} is no whole number of heads of 80 or 64: put the encoder's config.json beside the file");
            Error::weights(weights.path(), message)
        })?;
        Ok(Config {
            hidden_size: width,
            intermediate_size: hidden,
            num_hidden_layers: weights.count(&format!("{prefix}encoder.layers.")),
            num_attention_heads: width / head_dim,
            num_channels: channels,
            image_size: tokens.saturating_sub(1).isqrt() * patch,
            patch_size: patch,
            hidden_act: "gelu".into(),
            layer_norm_eps: 1e-5,
        })
    }

    fn to_json(&self) -> Value {
        config_json(self, json!({"architectures": ["CLIPVisionModel"], "model_type": "clip_vision_model"}))
    }
}
