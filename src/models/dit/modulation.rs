//! Modulation by time: norms that are scaled and shifted, and layers that are gated, by what each token's timestep says.
//!
//! Tokens of one timestep stand in a row. Where there are several such runs, each is worked on alone and they are joined again;
//! what is done to a token is the same either way.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::Recorder;
use crate::layers::Linear;
use crate::models::dit::embed::TimeEmbedding;
use crate::ops::copy::{concat, slice};
use crate::ops::layer_norm::{Affine, layer_norm};
use crate::ops::lincomb::add;
use crate::tensor::Tensor;

/// N vectors `[C]` for each run of tokens.
#[derive(Debug)]
pub struct Modulation<const N: usize> {
    runs: Vec<(usize, [Tensor; N])>,
}

impl<const N: usize> Modulation<N> {
    /// A layer's own vectors plus those that `part` takes of each run's time embedding.
    pub fn new<'a>(
        rec: &mut Recorder,
        own: &[Tensor; N],
        time: &'a [TimeEmbedding],
        part: impl Fn(&'a TimeEmbedding) -> [&'a Tensor; N],
    ) -> Result<Self> {
        let mut runs = Vec::with_capacity(time.len());
        for time in time {
            let mut vectors = own.clone();
            for (vector, time) in vectors.iter_mut().zip(part(time)) {
                *vector = add(rec, vector, time)?;
            }
            runs.push((time.tokens, vectors));
        }
        Ok(Self { runs })
    }

    /// The layer norm of x [L, C], scaled and shifted by the vectors of these numbers, as `dtype`.
    pub fn norm(&self, rec: &mut Recorder, x: &Tensor, scale: usize, shift: usize, eps: f32, dtype: DType) -> Result<Tensor> {
        self.by_run(rec, [x], |rec, vectors, [x]| layer_norm(rec, x, Affine::Modulation(&vectors[scale], &vectors[shift]), eps, dtype))
    }

    /// residual + gate * layer(x), the gate being the vector of that number: [L, C] in f32.
    pub fn gated(&self, rec: &mut Recorder, layer: &Linear, x: &Tensor, gate: usize, residual: &Tensor) -> Result<Tensor> {
        self.by_run(rec, [x, residual], |rec, vectors, [x, residual]| layer.forward_residual(rec, x, Some(&vectors[gate]), residual))
    }

    fn by_run<const M: usize>(
        &self,
        rec: &mut Recorder,
        inputs: [&Tensor; M],
        work: impl Fn(&mut Recorder, &[Tensor; N], [&Tensor; M]) -> Result<Tensor>,
    ) -> Result<Tensor> {
        if let [(_, vectors)] = &self.runs[..] {
            return work(rec, vectors, inputs);
        }
        let mut from = 0;
        let mut outputs = Vec::with_capacity(self.runs.len());
        for (tokens, vectors) in &self.runs {
            let parts = inputs.iter().map(|input| slice(rec, input, from, *tokens)).collect::<Result<Vec<_>>>()?;
            outputs.push(work(rec, vectors, std::array::from_fn(|i| &parts[i]))?);
            from += tokens;
        }
        concat(rec, &outputs.iter().collect::<Vec<_>>())
    }
}
