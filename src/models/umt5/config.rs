//! `text_encoder/config.json`.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ops::Activation;

/// The sizes of a text encoder, under transformers' names and with its defaults.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default)]
pub struct Config {
    /// Rows of the vocabulary's table.
    pub vocab_size: usize,
    /// C, the width of a token.
    pub d_model: usize,
    pub d_kv: usize,
    /// Width inside the feed-forward layers.
    pub d_ff: usize,
    pub num_layers: usize,
    pub num_heads: usize,
    /// Rows of a table of relative positions: half for keys before the query, half for those after it.
    pub relative_attention_num_buckets: usize,
    /// Keys this far away and farther share the last bucket.
    pub relative_attention_max_distance: usize,
    /// Added to mean squares.
    pub layer_norm_epsilon: f32,
    /// The feed-forward layers' activation, such as `relu`, or with `gated-` before it.
    pub feed_forward_proj: String,
    /// Whether a token sees only those before it; an encoder's sees all.
    pub is_decoder: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            vocab_size: 250_112,
            d_model: 512,
            d_kv: 64,
            d_ff: 1024,
            num_layers: 8,
            num_heads: 6,
            relative_attention_num_buckets: 32,
            relative_attention_max_distance: 128,
            layer_norm_epsilon: 1e-6,
            feed_forward_proj: "gated-gelu".into(),
            is_decoder: false,
        }
    }
}

impl Config {
    /// Refuses what this crate cannot run, naming the field.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a value that transformers allows and this crate does not; [`Error::Input`] for one that fits no
    /// model.
    pub fn check(&self) -> Result<()> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("d_model", self.d_model),
            ("d_kv", self.d_kv),
            ("d_ff", self.d_ff),
            ("num_layers", self.num_layers),
            ("num_heads", self.num_heads),
            ("relative_attention_num_buckets", self.relative_attention_num_buckets),
            ("relative_attention_max_distance", self.relative_attention_max_distance),
        ];
        if let Some((field, size)) = sizes.into_iter().find(|&(_, size)| size == 0 || size > 1 << 20) {
            return Err(Error::Input(format!("text encoder config: `{field}` is {size}")));
        }
        if !(self.layer_norm_epsilon.is_finite() && self.layer_norm_epsilon >= 0.0) {
            return Err(Error::Input(format!(
                "text encoder config: `layer_norm_epsilon` is {}; it must be 0 or more",
                self.layer_norm_epsilon
            )));
        }
        let (buckets, distance) = (self.relative_attention_num_buckets, self.relative_attention_max_distance);
        if buckets < 4 || distance <= buckets / 4 {
            return Err(Error::Input(format!(
                "text encoder config: {buckets} buckets up to a distance of {distance}; four are the fewest, and a quarter of them \
                 must be less than the distance"
            )));
        }
        if self.is_decoder {
            return Err(Error::Unsupported("text encoder config: `is_decoder` must be false".into()));
        }
        self.activation().map(|_| ())
    }

    /// The feed-forward layers' activation, and whether it gates a second product.
    pub fn activation(&self) -> Result<(Activation, bool)> {
        let name = self.feed_forward_proj.as_str();
        let (function, gated) = name.strip_prefix("gated-").map_or((name, false), |function| (function, true));
        // The one name with a meaning of its own: T5's GELU is the tanh formula.
        let function = if name == "gated-gelu" { "gelu_new" } else { function };
        let activation = Activation::named(function)
            .ok_or_else(|| Error::Unsupported(format!("text encoder config: `feed_forward_proj` is `{name}`")))?;
        Ok((activation, gated))
    }

    /// N * D, the width of queries, keys and values.
    pub fn inner_width(&self) -> usize {
        self.num_heads * self.d_kv
    }
}
