//! Convolution over space and time that sees no later frame, one frame at a time.

use std::collections::VecDeque;

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::Loader;
use crate::ops::{conv::ConvOptions, conv::conv, conv::weight::ConvWeight, conv::weight::ReadValues, finish::Finish};

/// Frames [1, H, W, C] that a convolution has seen and will need again, the newest first.
pub type History = VecDeque<Tensor>;

/// A 3D convolution padded with zeros around each frame and before the first.
///
/// The frames of a video need not lie together in one buffer: what it needs of the past stays where it is.
#[derive(Clone, Debug)]
pub struct CausalConv3d {
    weight: ConvWeight,
    bias: Tensor,
}

impl CausalConv3d {
    /// `name.weight` [outputs, inputs, time, height, width], given by its shape with odd height and width and a time of at most 3,
    /// and `name.bias`.
    pub fn load(loader: &Loader, name: &str, shape: [usize; 5]) -> Result<Self> {
        let scope = loader.scope(name);
        Self::from_values(&scope, shape, &scope.values("weight", &shape)?, &scope.values("bias", &shape[..1])?)
    }

    /// From host values, read when they are needed; `scope` names them in errors.
    pub fn from_values(scope: &Loader, shape: [usize; 5], weight: &ReadValues, bias: &ReadValues) -> Result<Self> {
        Ok(Self { weight: scope.conv_from("weight", &shape, weight)?, bias: scope.upload("bias", &shape[..1], bias)? })
    }

    /// How many of the frames before it sees.
    pub fn memory(&self) -> usize {
        self.weight.kernel()[0] - 1
    }

    /// How far a pixel sees to each side.
    pub fn reach(&self) -> usize {
        let [_, height, width] = self.weight.kernel();
        height.max(width) / 2
    }

    /// The next frame, [1, H, W, inputs] to [1, H, W, outputs] in f32, plus `residual` of the result's shape. `history` is that of
    /// this layer in this video: empty before the first frame, and then as this function left it.
    pub fn forward(&self, rec: &mut Recorder, x: &Tensor, history: &mut History, residual: Option<&Tensor>) -> Result<Tensor> {
        let sum = self.apply(rec, x, history, residual)?;
        history.push_front(x.clone());
        history.truncate(self.memory());
        Ok(sum)
    }

    /// [`CausalConv3d::forward`] without remembering x.
    pub fn apply(&self, rec: &mut Recorder, x: &Tensor, history: &History, residual: Option<&Tensor>) -> Result<Tensor> {
        let [time, height, width] = self.weight.kernel();
        let pad = [(time - 1, 0), (height / 2, height / 2), (width / 2, width / 2)];
        let past = [history.front(), history.get(1)];
        let finish = Finish { bias: Some(&self.bias), residual, ..Default::default() };
        conv(rec, x, &self.weight, ConvOptions { pad, finish, past, ..Default::default() }, DType::F32)
    }
}
