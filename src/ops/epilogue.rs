//! What follows a product in the same pass.

use crate::gpu::Tensor;
use crate::ops::activation::Activation;

/// What follows a product before it is stored: `residual + gate * activation(product + bias)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// `[N]`, added to each row.
    pub bias: Option<&'a Tensor>,
    /// Applied after the bias.
    pub activation: Activation,
    /// `[N]`, multiplied with each row; needs no residual.
    pub gate: Option<&'a Tensor>,
    /// [L, N], added last.
    pub residual: Option<&'a Tensor>,
}
