//! What follows the sums of a convolution in the same pass.

use crate::error::Result;
use crate::gpu::{Arg, Tensor};
use crate::ops::{activation::ACTIVATIONS, activation::Activation};
use crate::shape::Dims;

/// All values of the constant `ACT` of kernels with `wgsl/lib/finish.wgsl`: an activation, or a slope for each channel.
pub(super) const ALL_ACTIVATIONS: &[u32] = &{
    let mut numbers = [SLOPE; Activation::ALL.len() + 1];
    let mut i = 0;
    while i < ACTIVATIONS.len() {
        numbers[i] = ACTIVATIONS[i];
        i += 1;
    }
    numbers
};
const SLOPE: u32 = 255;

/// What follows the sums of a convolution before they are stored: `activation(sum + bias) + residual`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Finish<'a> {
    /// `[C]`, added to each pixel.
    pub bias: Option<&'a Tensor>,
    /// Applied after the bias.
    pub activation: Activation,
    /// `[C]`, by channel: what numbers below 0 are multiplied with, in the place of the activation.
    pub slope: Option<&'a Tensor>,
    /// Added last; of the shape of the result.
    pub residual: Option<&'a Tensor>,
    /// The residual is added before the activation.
    pub activation_last: bool,
}

impl<'a> Finish<'a> {
    /// Checks its tensors against the result, [T, H, W, C].
    pub(super) fn check(&self, out: &Tensor) -> Result<()> {
        let axes = ["T", "H", "W", "C"];
        let dims = Dims::new().check("out", out, &axes)?.check_optional("bias", self.bias, &["C"])?;
        dims.check_optional("slope", self.slope, &["C"])?.check_optional("residual", self.residual, &axes).map(drop)
    }

    pub(super) fn function(&self) -> u32 {
        if self.slope.is_some() { SLOPE } else { self.activation as u32 }
    }

    pub(super) fn last(&self) -> u32 {
        u32::from(self.activation_last)
    }

    /// The slots `bias`, `residual` and `slope`.
    pub(super) fn args(&self) -> [Arg<'a>; 3] {
        [self.bias, self.residual, self.slope].map(Arg::optional_rows)
    }
}
