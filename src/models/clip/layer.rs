//! A layer: self-attention, then an MLP, each after its norm.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::Recorder;
use crate::layers::{LayerNorm, Linear, Loader};
use crate::models::clip::config::Config;
use crate::ops::attention::{Heads, attention};
use crate::ops::{Activation, operand_dtype};
use crate::tensor::Tensor;

/// One of `encoder.layers`.
#[derive(Debug)]
pub struct Layer {
    /// How what only feeds a product is stored.
    dtype: DType,
    /// How queries, keys and values are stored.
    operand: DType,
    heads: usize,
    activation: Activation,
    layer_norm1: LayerNorm,
    /// Of queries, keys, values and the result.
    self_attn: [Linear; 4],
    layer_norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

impl Layer {
    /// From `encoder.layers.N.`
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        let (width, hidden) = (config.hidden_size, config.intermediate_size);
        let dtype = loader.precision().operand();
        let (attention, mlp) = (loader.scope("self_attn"), loader.scope("mlp"));
        let [q, k, v, out] = ["q_proj", "k_proj", "v_proj", "out_proj"].map(|name| Linear::load(&attention, name, width, width));
        Ok(Self {
            dtype,
            operand: operand_dtype(dtype, width / config.num_attention_heads),
            heads: config.num_attention_heads,
            activation: config.activation()?,
            layer_norm1: LayerNorm::load(loader, "layer_norm1", width, config.layer_norm_eps)?,
            self_attn: [q?, k?, v?, out?],
            layer_norm2: LayerNorm::load(loader, "layer_norm2", width, config.layer_norm_eps)?,
            fc1: Linear::load(&mlp, "fc1", width, hidden)?,
            fc2: Linear::load(&mlp, "fc2", hidden, width)?,
        })
    }

    /// x [L, C] in f32 to the same.
    pub fn forward(&self, rec: &mut Recorder, x: &Tensor) -> Result<Tensor> {
        let normed = self.layer_norm1.forward(rec, x, self.dtype)?;
        let [q, k, v, out] = &self.self_attn;
        let q = q.forward(rec, &normed, self.operand)?;
        let k = k.forward(rec, &normed, self.operand)?;
        let v = v.forward(rec, &normed, self.operand)?;
        let attended = attention(rec, &q, &k, &v, Heads::scaled(self.heads, x.cols()), self.operand)?;
        let x = out.forward_residual(rec, &attended, None, x)?;
        let normed = self.layer_norm2.forward(rec, &x, self.dtype)?;
        let hidden = self.fc1.forward_activated(rec, &normed, self.activation, self.dtype)?;
        self.fc2.forward_residual(rec, &hidden, None, &x)
    }
}
