//! A text encoder's configuration from its tensors' shapes.

use serde_json::{Value, json};

use crate::error::Result;
use crate::models::umt5::config::Config;
use crate::models::{Sizes, config_json};
use crate::weights::Weights;

impl Sizes for Config {
    fn is_described(json: &Value) -> bool {
        json.get("d_model").is_some()
    }

    /// The sizes of the encoder in `weights`. What shapes do not tell is as in UMT5: gated GELU, a largest distance of 128, epsilon 1e-6.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::Error::Weights) where a tensor that tells sizes is missing.
    fn detect(weights: &Weights) -> Result<Self> {
        let vocabulary = if weights.contains("shared.weight") { "shared.weight" } else { "encoder.embed_tokens.weight" };
        let [vocab_size, d_model] = weights.extents(vocabulary)?;
        let attention = "encoder.block.0.layer.0.SelfAttention";
        let [buckets, num_heads] = weights.extents(&format!("{attention}.relative_attention_bias.weight"))?;
        let [inner, _] = weights.extents(&format!("{attention}.q.weight"))?;
        let [d_ff, _] = weights.extents("encoder.block.0.layer.1.DenseReluDense.wi_0.weight")?;
        Ok(Config {
            vocab_size,
            d_model,
            d_kv: inner / num_heads.max(1),
            d_ff,
            num_layers: weights.count(|i| format!("encoder.block.{i}.layer.0.SelfAttention.q.weight")),
            num_heads,
            relative_attention_num_buckets: buckets,
            ..Config::default()
        })
    }

    fn to_json(&self) -> Value {
        config_json(self, json!({"architectures": ["UMT5EncoderModel"], "model_type": "umt5"}))
    }
}
