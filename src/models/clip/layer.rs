//! A layer: self-attention, then an MLP, each after its norm.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::{LayerNorm, Linear, Loader, Mlp, SelfAttention};
use crate::models::clip::config::Config;
use crate::ops::{attention::Heads, operand_dtype};

#[derive(Debug)]
pub struct Layer {
    /// How what only feeds a product is stored.
    dtype: DType,
    heads: usize,
    layer_norm1: LayerNorm,
    self_attn: SelfAttention,
    layer_norm2: LayerNorm,
    mlp: Mlp,
}

impl Layer {
    /// From `encoder.layers.N.`
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        let (width, hidden) = (config.hidden_size, config.intermediate_size);
        let dtype = loader.precision().operand();
        let attention = loader.scope("self_attn");
        let [q, k, v, out] = ["q_proj", "k_proj", "v_proj", "out_proj"].map(|name| Linear::load(&attention, name, width, width));
        let operand = operand_dtype(dtype, width / config.num_attention_heads);
        Ok(Self {
            dtype,
            heads: config.num_attention_heads,
            layer_norm1: LayerNorm::load(loader, "layer_norm1", width, config.layer_norm_eps)?,
            self_attn: SelfAttention::new([q?, k?, v?], out?, operand),
            layer_norm2: LayerNorm::load(loader, "layer_norm2", width, config.layer_norm_eps)?,
            mlp: Mlp::load(&loader.scope("mlp"), ["fc1", "fc2"], [width, hidden], config.activation()?)?,
        })
    }

    /// x [L, C] in f32 to the same.
    pub fn forward(&self, rec: &mut Recorder, x: &Tensor) -> Result<Tensor> {
        let normed = self.layer_norm1.forward(rec, x, self.dtype)?;
        let x = self.self_attn.forward(rec, &normed, Heads::scaled(self.heads, x.cols()), x)?;
        let normed = self.layer_norm2.forward(rec, &x, self.dtype)?;
        self.mlp.forward(rec, &normed, None, &x)
    }
}
