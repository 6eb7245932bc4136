//! Self-attention with projections of its own.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::linear::Linear;
use crate::ops::{attention::Heads, attention::attention};

/// Projections to queries, keys and values, and of what comes of them.
#[derive(Debug)]
pub struct SelfAttention {
    to_qkv: [Linear; 3],
    to_out: Linear,
    /// How queries, keys and values are stored.
    operand: DType,
}

impl SelfAttention {
    /// From the projections; queries, keys and values are stored as `operand`.
    pub fn new(to_qkv: [Linear; 3], to_out: Linear, operand: DType) -> Self {
        Self { to_qkv, to_out, operand }
    }

    /// residual + out(attention of x [L, C] among its own rows), in f32.
    pub fn forward(&self, rec: &mut Recorder, x: &Tensor, how: Heads, residual: &Tensor) -> Result<Tensor> {
        let [to_q, to_k, to_v] = &self.to_qkv;
        let q = to_q.forward(rec, x, self.operand)?;
        let k = to_k.forward(rec, x, self.operand)?;
        let v = to_v.forward(rec, x, self.operand)?;
        let attended = attention(rec, &q, &k, &v, how, self.operand)?;
        self.to_out.forward_residual(rec, &attended, None, residual)
    }
}
