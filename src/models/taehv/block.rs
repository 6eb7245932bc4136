//! What the levels are made of. Frames are [1, H, W, C] in f32.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::Loader;
use crate::ops::conv::weight::ReadValues;
use crate::ops::conv::{ConvOptions, ConvWeight, conv};
use crate::ops::{Activation, finish::Finish};

/// A convolution within a frame, or over it and the one before, padded with zeros.
#[derive(Debug)]
pub struct Conv {
    weight: ConvWeight,
    bias: Option<Tensor>,
}

impl Conv {
    /// `name.weight` [outputs, inputs, side, side], and `name.bias` where there is one.
    pub fn load(loader: &Loader, name: &str, [outputs, inputs, side]: [usize; 3], has_bias: bool) -> Result<Self> {
        let scope = loader.scope(name);
        let weight = scope.conv("weight", &[outputs, inputs, side, side])?;
        Ok(Self { weight, bias: has_bias.then(|| scope.tensor("bias", &[outputs])).transpose()? })
    }

    /// From host values of [outputs, inputs, time, height, width] and [outputs], read when they are needed.
    pub fn from_values(scope: &Loader, shape: [usize; 5], weight: &ReadValues, bias: Option<&ReadValues>) -> Result<Self> {
        let bias = bias.map(|bias| scope.upload("bias", &shape[..1], bias)).transpose()?;
        Ok(Self { weight: scope.conv_from("weight", &shape, weight)?, bias })
    }

    /// To a frame of the same size, or twice that where the input is seen `upsampled`. `finish` is without the bias.
    pub fn forward(&self, rec: &mut Recorder, x: &Tensor, past: Option<&Tensor>, upsample: bool, finish: Finish) -> Result<Tensor> {
        let [time, height, width] = self.weight.kernel();
        let pad = [(time - 1, 0), (height / 2, height / 2), (width / 2, width / 2)];
        let finish = Finish { bias: self.bias.as_ref(), ..finish };
        conv(rec, x, &self.weight, ConvOptions { pad, finish, upsample, past: [past, None], ..Default::default() }, DType::F32)
    }
}

/// `relu(x + conv(relu(conv(relu(conv(x, the x before))))))`.
#[derive(Debug)]
pub struct MemBlock([Conv; 3]);

const RELU: Finish = Finish { bias: None, activation: Activation::Relu, slope: None, residual: None, activation_last: false };

impl MemBlock {
    /// The first convolution takes x and the x before as channels; here they are two frames.
    pub fn load(loader: &Loader, width: usize) -> Result<Self> {
        let scope = loader.scope("conv.0");
        let (weight, bias) = (scope.values("weight", &[width, 2 * width, 3, 3])?, scope.values("bias", &[width])?);
        let by_time = || {
            let values = weight()?;
            // [width, x or past, width, 9] to [width, width, past or x, 9].
            let at = |o: usize, i: usize, past: bool| &values[((2 * o + usize::from(past)) * width + i) * 9..][..9];
            let pairs = (0..values.len() / 18).flat_map(|at| [(at, true), (at, false)]);
            Ok(pairs.flat_map(|(pair, past)| at(pair / width, pair % width, past)).copied().collect())
        };
        let first = Conv::from_values(&scope, [width, width, 2, 3, 3], &by_time, Some(&bias))?;
        let other = |name| Conv::load(loader, name, [width, width, 3], true);
        Ok(Self([first, other("conv.2")?, other("conv.4")?]))
    }

    /// A frame to one of the same shape. `past` is the frame before, none at first.
    pub fn forward(&self, rec: &mut Recorder, x: &Tensor, past: &mut Option<Tensor>) -> Result<Tensor> {
        let [first, second, third] = &self.0;
        let inner = first.forward(rec, x, past.as_ref(), false, RELU)?;
        *past = Some(x.clone());
        let inner = second.forward(rec, &inner, None, false, RELU)?;
        third.forward(rec, &inner, None, false, Finish { residual: Some(x), activation_last: true, ..RELU })
    }
}
