//! A block: self-attention with relative positions, then a feed-forward layer.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::{Linear, Loader, Precision, RmsNorm, SelfAttention};
use crate::models::umt5::config::Config;
use crate::ops::{Activation, attention::Heads, elementwise::gated, gather::gather, matrix::Matrix, operand_dtype, permute::permute};

/// One of the encoder's layers.
#[derive(Debug)]
pub struct Block {
    precision: Precision,
    attention_norm: RmsNorm,
    attention: Attention,
    feed_forward_norm: RmsNorm,
    feed_forward: FeedForward,
}

impl Block {
    /// `layer.0` and `layer.1` of the loader's scope.
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        let (first, second) = (loader.scope("layer.0"), loader.scope("layer.1"));
        let norm = |scope: &Loader| RmsNorm::load(scope, "layer_norm", config.d_model, config.layer_norm_epsilon);
        Ok(Self {
            precision: loader.precision(),
            attention_norm: norm(&first)?,
            attention: Attention::load(&first.scope("SelfAttention"), config)?,
            feed_forward_norm: norm(&second)?,
            feed_forward: FeedForward::load(&second.scope("DenseReluDense"), config)?,
        })
    }

    /// x [L, C] in f32 to the same; `buckets` [L, L] as [`position::buckets`](super::position::buckets) gives them.
    pub fn forward(&self, rec: &mut Recorder, x: &Tensor, buckets: &[u32]) -> Result<Tensor> {
        let dtype = self.precision.operand();
        let normed = self.attention_norm.forward(rec, x, dtype)?;
        let x = self.attention.forward(rec, &normed, buckets, x)?;
        let normed = self.feed_forward_norm.forward(rec, &x, dtype)?;
        self.feed_forward.forward(rec, &normed, &x)
    }
}

#[derive(Debug)]
struct Attention {
    heads: usize,
    projections: SelfAttention,
    /// [buckets, N]
    relative_attention_bias: Matrix,
}

impl Attention {
    fn load(loader: &Loader, config: &Config) -> Result<Self> {
        let (width, inner) = (config.d_model, config.inner_width());
        let table = [config.relative_attention_num_buckets, config.num_heads];
        let [q, k, v] = ["q", "k", "v"].map(|name| Linear::load_without_bias(loader, name, width, inner));
        let out = Linear::load_without_bias(loader, "o", inner, width)?;
        Ok(Self {
            heads: config.num_heads,
            projections: SelfAttention::new([q?, k?, v?], out, operand_dtype(loader.precision().operand(), config.d_kv)),
            relative_attention_bias: loader.with_precision(Precision::F32).matrix("relative_attention_bias.weight", &table)?,
        })
    }

    fn forward(&self, rec: &mut Recorder, x: &Tensor, buckets: &[u32], residual: &Tensor) -> Result<Tensor> {
        let bias = self.bias(rec, buckets, x.rows())?;
        self.projections.forward(
            rec,
            x,
            Heads { heads: self.heads, batches: 1, scale: 1.0, bias: Some(&bias), shift: None, ranges: None },
            residual,
        )
    }

    /// [N, L, L]
    fn bias(&self, rec: &mut Recorder, buckets: &[u32], tokens: usize) -> Result<Tensor> {
        let pairs = gather(rec, &self.relative_attention_bias, buckets)?;
        Ok(permute(rec, &pairs, &[1, 0], DType::F32)?.reshape(&[self.heads, tokens, tokens]))
    }
}

/// In f32 throughout: the products overflow f16.
#[derive(Debug)]
struct FeedForward {
    activation: Activation,
    /// `wi_0` where there is a gate, `wi` where there is none.
    wi: Linear,
    /// `wi_1`, which the activation gates.
    gate: Option<Linear>,
    wo: Linear,
}

impl FeedForward {
    fn load(loader: &Loader, config: &Config) -> Result<Self> {
        let (width, hidden) = (config.d_model, config.d_ff);
        let (activation, is_gated) = config.activation()?;
        let linear = |name, inputs, outputs| Linear::load_without_bias(loader, name, inputs, outputs);
        Ok(Self {
            activation,
            wi: linear(if is_gated { "wi_0" } else { "wi" }, width, hidden)?,
            gate: is_gated.then(|| linear("wi_1", width, hidden)).transpose()?,
            wo: linear("wo", hidden, width)?,
        })
    }

    fn forward(&self, rec: &mut Recorder, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        let hidden = match &self.gate {
            None => self.wi.forward_activated(rec, x, self.activation, DType::F32)?,
            Some(linear) => {
                let (gate, linear) = (self.wi.forward(rec, x, DType::F32)?, linear.forward(rec, x, DType::F32)?);
                gated(rec, &gate, self.activation, &linear, DType::F32)?
            }
        };
        self.wo.forward_residual(rec, &hidden, None, residual)
    }
}
