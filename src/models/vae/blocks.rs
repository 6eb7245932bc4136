//! What both the encoder and the decoder are made of. Frames are [1, H, W, C] in f32.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::{CausalConv3d, History, Linear, Loader, SelfAttention};
use crate::ops::{Activation, attention::Heads, rms_norm::rms_norm};

/// What stands under the root when a pixel of zeros is normalised; the reference divides by at least 1e-12.
const EPS: f32 = 1e-24;

/// RMS norm over the channels of each pixel.
#[derive(Debug)]
pub struct Norm {
    gamma: Tensor,
    activation: Activation,
    dtype: DType,
}

impl Norm {
    /// `name.gamma` [width, 1, ..] of as many axes as a checkpoint gives it: four, or three in attention blocks. The result is an
    /// operand in the loader's precision.
    pub fn load(loader: &Loader, name: &str, width: usize, axes: usize, activation: Activation) -> Result<Self> {
        let scope = loader.scope(name);
        let mut shape = vec![1; axes];
        shape[0] = width;
        let gamma = scope.upload("gamma", &[width], &scope.values("gamma", &shape)?)?;
        Ok(Self { gamma, activation, dtype: loader.precision().operand() })
    }

    /// A frame to one of the same shape.
    pub fn forward(&self, rec: &mut Recorder, x: &Tensor) -> Result<Tensor> {
        let rows = x.reshape(&[x.rows(), x.cols()]);
        Ok(rms_norm(rec, &rows, &self.gamma, EPS, self.activation, self.dtype)?.reshape(x.shape()))
    }
}

/// x + conv2(silu(norm2(conv1(silu(norm1(x)))))), with a 1x1 convolution of x where the channels change.
#[derive(Debug)]
pub struct ResidualBlock {
    norm1: Norm,
    conv1: CausalConv3d,
    norm2: Norm,
    conv2: CausalConv3d,
    conv_shortcut: Option<CausalConv3d>,
}

impl ResidualBlock {
    /// From `inputs` channels to `outputs`.
    pub fn load(loader: &Loader, inputs: usize, outputs: usize) -> Result<Self> {
        let shortcut = (inputs != outputs).then(|| CausalConv3d::load(loader, "conv_shortcut", [outputs, inputs, 1, 1, 1]));
        Ok(Self {
            norm1: Norm::load(loader, "norm1", inputs, 4, Activation::Silu)?,
            conv1: CausalConv3d::load(loader, "conv1", [outputs, inputs, 3, 3, 3])?,
            norm2: Norm::load(loader, "norm2", outputs, 4, Activation::Silu)?,
            conv2: CausalConv3d::load(loader, "conv2", [outputs, outputs, 3, 3, 3])?,
            conv_shortcut: shortcut.transpose()?,
        })
    }

    pub fn forward(&self, rec: &mut Recorder, x: &Tensor, [history1, history2]: &mut [History; 2]) -> Result<Tensor> {
        let h = self.norm1.forward(rec, x)?;
        let h = self.conv1.forward(rec, &h, history1, None)?;
        let h = self.norm2.forward(rec, &h)?;
        let shortcut = match &self.conv_shortcut {
            Some(conv) => conv.apply(rec, x, &History::new(), None)?,
            None => x.clone(),
        };
        self.conv2.forward(rec, &h, history2, Some(&shortcut))
    }
}

/// Self-attention with one head among the pixels of a frame, added to the frame.
#[derive(Debug)]
pub struct AttentionBlock {
    norm: Norm,
    attention: SelfAttention,
}

impl AttentionBlock {
    /// For `width` channels.
    pub fn load(loader: &Loader, width: usize) -> Result<Self> {
        let norm = Norm::load(loader, "norm", width, 3, Activation::None)?;
        let qkv = loader.scope("to_qkv");
        let weight = qkv.values("weight", &[3 * width, width, 1, 1])?;
        let bias = qkv.values("bias", &[3 * width])?;
        let third = |values: Vec<f32>, i: usize| values[i * values.len() / 3..][..values.len() / 3].to_vec();
        let part = |i: usize| -> Result<Linear> {
            let matrix = qkv.matrix_from("weight", [width, width], &|| Ok(third(weight()?, i)))?;
            Ok(Linear::new(matrix, Some(qkv.upload("bias", &[width], &|| Ok(third(bias()?, i)))?)))
        };
        let to_qkv = [part(0)?, part(1)?, part(2)?];
        let proj = loader.scope("proj");
        let proj = Linear::new(proj.matrix("weight", &[width, width, 1, 1])?, Some(proj.tensor("bias", &[width])?));
        Ok(Self { norm, attention: SelfAttention::new(to_qkv, proj, loader.precision().operand()) })
    }

    /// One frame; frames do not see each other.
    pub fn forward(&self, rec: &mut Recorder, x: &Tensor) -> Result<Tensor> {
        let pixels = x.reshape(&[x.rows(), x.cols()]);
        let normed = self.norm.forward(rec, &pixels)?;
        Ok(self.attention.forward(rec, &normed, Heads::scaled(1, x.cols()), &pixels)?.reshape(x.shape()))
    }
}

/// The last norm, SiLU and convolution.
#[derive(Debug)]
pub struct Head {
    norm_out: Norm,
    conv_out: CausalConv3d,
}

impl Head {
    /// From `inputs` channels to `outputs`.
    pub fn load(loader: &Loader, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self {
            norm_out: Norm::load(loader, "norm_out", inputs, 4, Activation::Silu)?,
            conv_out: CausalConv3d::load(loader, "conv_out", [outputs, inputs, 3, 3, 3])?,
        })
    }

    pub fn forward(&self, rec: &mut Recorder, x: &Tensor, history: &mut History) -> Result<Tensor> {
        let h = self.norm_out.forward(rec, x)?;
        self.conv_out.forward(rec, &h, history, None)
    }
}
