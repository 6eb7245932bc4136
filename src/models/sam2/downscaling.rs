//! A mask on its way to the size of features.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::{LayerNorm, Loader};
use crate::ops::Activation;
use crate::ops::conv::{ConvOptions, ConvWeight, conv};
use crate::ops::finish::Finish;
use crate::ops::lincomb::activate;

/// Added to variances.
const EPS: f32 = 1e-6;

/// A convolution that halves height and width, a norm and GELU.
#[derive(Debug)]
pub struct Downscaling {
    conv: ConvWeight,
    bias: Tensor,
    norm: LayerNorm,
    pad: usize,
}

impl Downscaling {
    /// Step `number` of a sequence, in windows of `kernel` x `kernel`: 2 without padding, 3 with one pixel.
    pub fn load(loader: &Loader, number: usize, [inputs, outputs]: [usize; 2], kernel: usize) -> Result<Self> {
        let conv = loader.scope(3 * number);
        Ok(Self {
            conv: conv.conv("weight", &[outputs, inputs, kernel, kernel])?,
            bias: conv.tensor("bias", &[outputs])?,
            norm: LayerNorm::load(loader, &(3 * number + 1).to_string(), outputs, EPS)?,
            pad: (kernel - 1) / 2,
        })
    }

    /// [1, H, W, C] to [1, H / 2, W / 2, C'] in f32.
    pub fn forward(&self, rec: &mut Recorder, x: &Tensor) -> Result<Tensor> {
        let (pad, finish) = ((self.pad, self.pad), Finish { bias: Some(&self.bias), ..Default::default() });
        let options = ConvOptions { stride: 2, pad: [(0, 0), pad, pad], finish, ..Default::default() };
        let x = conv(rec, x, &self.conv, options, DType::F32)?;
        let normed = self.norm.forward(rec, &x.reshape(&[x.rows(), x.cols()]), DType::F32)?;
        Ok(activate(rec, &normed, Activation::GeluErf, DType::F32)?.reshape(x.shape()))
    }
}
