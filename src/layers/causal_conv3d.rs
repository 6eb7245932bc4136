//! Convolution over space and time that sees no later frame, one frame at a time.

use std::collections::VecDeque;

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::Recorder;
use crate::layers::Loader;
use crate::ops::conv::{ConvOptions, ConvWeight, conv};
use crate::tensor::Tensor;

/// Frames [1, H, W, C] that a convolution has seen and will need again, the newest first.
pub type History = VecDeque<Tensor>;

/// A 3D convolution padded with zeros around each frame and before the first.
///
/// It is a sum of 2D convolutions, one for each frame that it sees. So the frames of a video need not lie together in one
/// buffer: what it needs of the past stays where it is, and the zeros before the first frame cost nothing.
#[derive(Clone, Debug)]
pub struct CausalConv3d {
    current: ConvWeight,
    /// For the frames before, the newest first.
    past: Vec<ConvWeight>,
    bias: Tensor,
}

impl CausalConv3d {
    /// `name.weight` [outputs, inputs, time, height, width], given by its shape with odd height and width, and `name.bias`.
    pub fn load(loader: &Loader, name: &str, shape: [usize; 5]) -> Result<Self> {
        let scope = loader.scope(name);
        Self::from_values(&scope, shape, &scope.values("weight", &shape)?, &scope.values("bias", &shape[..1])?)
    }

    /// From host values; `scope` names them in errors.
    pub fn from_values(scope: &Loader, shape: [usize; 5], weight: &[f32], bias: &[f32]) -> Result<Self> {
        let [outputs, inputs, time, height, width] = shape;
        let area = height * width;
        let plane = |t: usize| {
            let values: Vec<_> = weight.chunks(time * area).flat_map(|kernel| &kernel[t * area..][..area]).copied().collect();
            scope.conv_from("weight", &[outputs, inputs, height, width], &values)
        };
        Ok(Self {
            current: plane(time - 1)?,
            past: (0..time - 1).rev().map(plane).collect::<Result<_>>()?,
            bias: scope.upload("bias", &[outputs], bias)?,
        })
    }

    /// How many of the frames before it sees.
    pub fn memory(&self) -> usize {
        self.past.len()
    }

    /// How far a pixel sees to each side.
    pub fn reach(&self) -> usize {
        let [_, height, width] = self.current.kernel();
        height.max(width) / 2
    }

    /// The next frame, [1, H, W, inputs] to [1, H, W, outputs] in f32, plus `residual` of the result's shape. `history` is that of
    /// this layer in this video: empty before the first frame, and then as this function left it.
    pub fn forward(&self, rec: &mut Recorder, x: &Tensor, history: &mut History, residual: Option<&Tensor>) -> Result<Tensor> {
        let sum = self.apply(rec, x, history, residual)?;
        history.push_front(x.clone());
        history.truncate(self.past.len());
        Ok(sum)
    }

    /// [`CausalConv3d::forward`] without remembering x.
    pub fn apply(&self, rec: &mut Recorder, x: &Tensor, history: &History, residual: Option<&Tensor>) -> Result<Tensor> {
        let [_, height, width] = self.current.kernel();
        let pad = [(0, 0), (height / 2, height / 2), (width / 2, width / 2)];
        let options = ConvOptions { pad, bias: Some(&self.bias), residual, ..Default::default() };
        let mut sum = conv(rec, x, &self.current, options, DType::F32)?;
        for (frame, weight) in history.iter().zip(&self.past) {
            let options = ConvOptions { pad, residual: Some(&sum), ..Default::default() };
            sum = conv(rec, frame, weight, options, DType::F32)?;
        }
        Ok(sum)
    }
}
