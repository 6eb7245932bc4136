//! Projections of one attention.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::{Linear, Loader, RmsNorm};

/// To queries, keys and values, and of what comes of them.
#[derive(Debug)]
pub struct Projections {
    pub(super) to_q: Linear,
    pub(super) norm_q: RmsNorm,
    pub(super) keys: KeyProjections,
    pub(super) to_out: Linear,
}

/// To keys, which are normed, and values.
#[derive(Debug)]
pub struct KeyProjections {
    pub(super) to_k: Linear,
    pub(super) norm_k: RmsNorm,
    pub(super) to_v: Linear,
}

impl Projections {
    /// `to_q`, `to_k`, `to_v`, `norm_q`, `norm_k` and `to_out`, under its name. Norms go over `normed` columns at a time.
    pub fn load(loader: &Loader, to_out: &str, width: usize, normed: usize, eps: f32) -> Result<Self> {
        Ok(Self {
            to_q: Linear::load(loader, "to_q", width, width)?,
            norm_q: RmsNorm::load(loader, "norm_q", normed, eps)?,
            keys: KeyProjections::load(loader, ["to_k", "norm_k", "to_v"], [width, width], normed, eps)?,
            to_out: Linear::load(&loader.with_precision(loader.precision().of_floats()), to_out, width, width)?,
        })
    }

    /// Queries of x [L, C].
    pub fn queries(&self, rec: &mut Recorder, x: &Tensor, dtype: DType) -> Result<Tensor> {
        let q = self.to_q.forward(rec, x, DType::F32)?;
        self.norm_q.forward(rec, &q, dtype)
    }
}

impl KeyProjections {
    /// Under the names of keys, norm and values.
    pub fn load(loader: &Loader, [k, norm, v]: [&str; 3], [inputs, width]: [usize; 2], normed: usize, eps: f32) -> Result<Self> {
        Ok(Self {
            to_k: Linear::load(loader, k, inputs, width)?,
            norm_k: RmsNorm::load(loader, norm, normed, eps)?,
            to_v: Linear::load(loader, v, inputs, width)?,
        })
    }

    /// Keys and values of x [L, C].
    pub fn forward(&self, rec: &mut Recorder, x: &Tensor, dtype: DType) -> Result<(Tensor, Tensor)> {
        let k = self.to_k.forward(rec, x, DType::F32)?;
        Ok((self.norm_k.forward(rec, &k, dtype)?, self.to_v.forward(rec, x, dtype)?))
    }
}
