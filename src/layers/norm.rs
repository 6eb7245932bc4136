//! Norms with weights.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::Loader;
use crate::ops::{Activation, layer_norm::Affine, layer_norm::layer_norm, norm_rope::Rotation, norm_rope::norm_rope, rms_norm::rms_norm};

/// Layer norm with weight and bias `[C]`.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f32,
}

impl LayerNorm {
    /// `name.weight` and `name.bias`; `eps` is added to the variance.
    pub fn load(loader: &Loader, name: &str, width: usize, eps: f32) -> Result<Self> {
        let scope = loader.scope(name);
        Ok(Self { weight: scope.tensor("weight", &[width])?, bias: scope.tensor("bias", &[width])?, eps })
    }

    /// x [L, C] to [L, C] as `dtype`.
    pub fn forward(&self, rec: &mut Recorder, x: &Tensor, dtype: DType) -> Result<Tensor> {
        layer_norm(rec, x, Affine::Weights(&self.weight, &self.bias), self.eps, dtype)
    }
}

/// RMS norm with weight `[C]`.
#[derive(Clone, Debug)]
pub struct RmsNorm {
    weight: Tensor,
    eps: f32,
}

impl RmsNorm {
    /// `name.weight`; `eps` is added to the mean square.
    pub fn load(loader: &Loader, name: &str, width: usize, eps: f32) -> Result<Self> {
        Ok(Self { weight: loader.scope(name).tensor("weight", &[width])?, eps })
    }

    /// x [.., C], each row of the width of the weight, to the same shape as `dtype`.
    pub fn forward(&self, rec: &mut Recorder, x: &Tensor, dtype: DType) -> Result<Tensor> {
        let rows = x.reshape(&[x.len() / self.weight.len(), self.weight.len()]);
        Ok(rms_norm(rec, &rows, &self.weight, self.eps, Activation::None, dtype)?.reshape(x.shape()))
    }

    /// x [L, C], heads side by side, to the same shape as `dtype`, then rotated by each token's position.
    pub fn forward_rotated(&self, rec: &mut Recorder, x: &Tensor, rotation: Rotation, dtype: DType) -> Result<Tensor> {
        norm_rope(rec, x, &self.weight, self.eps, rotation, dtype)
    }
}
