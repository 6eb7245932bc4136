//! The text encoder: its signs, and its configuration from its tensors' shapes.

use serde_json::{Value, json};

use crate::error::Result;
use crate::models::spec::{Sizes, Spec, config_json};
use crate::models::umt5::{Encoder, config::Config, names::GGUF, names::OFFICIAL};
use crate::tokenizer::Tokenizer;
use crate::weights::checkpoint::Weights;

/// ComfyUI's name of the tensor whose bytes are a `spiece.model`.
const VOCABULARY: &str = "spiece_model";

pub static UMT5: Spec = Spec {
    name: "a UMT5 text encoder",
    signs: &["encoder.block.0.layer.0.SelfAttention.q.weight"],
    tables: &[&OFFICIAL, &GGUF],
    kin: None,
    // What generates text, in files of the whole model.
    unneeded: &["decoder.", "dec.", "lm_head."],
    besides: &[VOCABULARY],
    stem: "model",
    architecture: "t5encoder",
    config: Config::json,
    load: |loader, weights| Encoder::load(loader, &Config::of(weights)?).map(drop),
};

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
            num_layers: weights.count("encoder.block."),
            num_heads,
            relative_attention_num_buckets: buckets,
            ..Config::default()
        })
    }

    fn to_json(&self) -> Value {
        config_json(self, json!({"architectures": ["UMT5EncoderModel"], "model_type": "umt5"}))
    }
}

/// The tokenizer within a checkpoint: ComfyUI's `spiece_model`, or the vocabulary of a GGUF file; `None` where there is neither.
///
/// # Errors
/// As [`Tokenizer::from_bytes`].
pub fn tokenizer(weights: &Weights) -> Result<Option<Tokenizer>> {
    if let Some(bytes) = weights.stored(VOCABULARY)? {
        return Tokenizer::from_bytes(weights.path(), &bytes).map(Some);
    }
    weights.vocabulary()?.map(|vocabulary| Tokenizer::from_vocabulary(weights.path(), vocabulary)).transpose()
}
