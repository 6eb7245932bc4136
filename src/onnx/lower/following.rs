//! What a fused node does after its sums.

use super::run::Run;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::onnx::node::{Node, RESIDUAL, SLOPE};
use crate::ops::Activation;
use crate::ops::finish::Finish;

/// The tensors and settings of it.
pub(super) struct Following {
    activation: Activation,
    activation_last: bool,
    residual: Option<Tensor>,
    slope: Option<Tensor>,
}

impl Following {
    /// Of a convolution to images.
    pub(super) fn of(run: &Run, rec: &mut Recorder, node: &Node) -> Result<Self> {
        let residual = node.input(RESIDUAL).map(|value| run.gpu(rec, value)?.as_image(rec)).transpose()?;
        let slope = node.input(SLOPE).map(|value| run.gpu(rec, value)).transpose()?.map(|laid| laid.tensor);
        let activation_last = node.flag("activation_last", false).unwrap_or(false);
        Ok(Self { activation: activation(node), activation_last, residual, slope })
    }

    pub(super) fn finish<'a>(&'a self, bias: Option<&'a Tensor>) -> Finish<'a> {
        let (slope, residual) = (self.slope.as_ref(), self.residual.as_ref());
        Finish { bias, activation: self.activation, slope, residual, activation_last: self.activation_last }
    }
}

/// The activation of a fused node.
pub(super) fn activation(node: &Node) -> Activation {
    match node.text_or("activation", "") {
        Ok("Relu") => Activation::Relu,
        Ok("Relu6") => Activation::Relu6,
        Ok("Sigmoid") => Activation::Sigmoid,
        Ok("HardSwish") => Activation::HardSwish,
        Ok("Swish") => Activation::Silu,
        Ok("Gelu") => Activation::GeluErf,
        _ => Activation::None,
    }
}
