//! The face encoder: from the motion vectors of pixel frames to a few tokens for each latent frame.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::layers::{Linear, Loader};
use crate::models::dit::config::Config;
use crate::ops::conv::{ConvOptions, ConvWeight, conv};
use crate::ops::finish::Finish;
use crate::ops::{Activation, copy::concat, copy::slice, layer_norm::Affine, layer_norm::layer_norm, lincomb::activate};
use crate::shape::Dims;

/// Motion vectors that a convolution sees at once.
const KERNEL: usize = 3;
const EPS: f32 = 1e-6;

/// `face_encoder` of Animate. Its norms have no weights.
#[derive(Debug)]
pub struct FaceEncoder {
    heads: usize,
    conv1_local: Conv,
    conv2: Conv,
    conv3: Conv,
    out_proj: Linear,
    /// [width]
    padding_tokens: Tensor,
}

impl FaceEncoder {
    /// From `face_encoder.`
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        let (heads, hidden, width) = (config.face_encoder_num_heads, config.face_encoder_hidden_dim, config.width());
        let padding = loader.values("padding_tokens", &[1, 1, 1, width])?;
        Ok(Self {
            heads,
            conv1_local: Conv::load(loader, "conv1_local", config.motion_encoder_dim, heads * hidden, 1)?,
            conv2: Conv::load(loader, "conv2", hidden, hidden, 2)?,
            conv3: Conv::load(loader, "conv3", hidden, hidden, 2)?,
            out_proj: Linear::load(loader, "out_proj", hidden, width)?,
            padding_tokens: loader.upload("padding_tokens", &[width], &padding)?,
        })
    }

    /// Motion vectors [F, motion_encoder_dim] to tokens [T, heads + 1, width] in f32, where T = (F - 1) / 4 + 1 for F = 4 n + 1.
    /// The last token of each frame is the padding token.
    pub fn forward(&self, rec: &mut Recorder, motion: &Tensor) -> Result<Tensor> {
        let dims = Dims::new().check("motion vectors", motion, &["F", "C"])?;
        let frames = dims.get("F");
        if frames == 0 {
            return Err(Error::Input("the face encoder needs at least one motion vector".into()));
        }
        let x = self.conv1_local.forward(rec, &motion.reshape(&[frames, 1, 1, dims.get("C")]))?;
        // From here on the heads are independent sequences with the same weights.
        let x = norm(rec, &x.reshape(&[frames, 1, self.heads, x.cols() / self.heads]))?;
        let x = self.conv2.forward(rec, &x)?;
        let x = norm(rec, &x)?;
        let x = self.conv3.forward(rec, &x)?;
        let x = norm(rec, &x)?;
        let tokens = self.out_proj.forward(rec, &x.reshape(&[x.rows(), x.cols()]), DType::F32)?;
        self.with_padding(rec, &tokens)
    }

    /// [T * heads, width] to [T, heads + 1, width].
    fn with_padding(&self, rec: &mut Recorder, tokens: &Tensor) -> Result<Tensor> {
        let (frames, width) = (tokens.rows() / self.heads, tokens.cols());
        let (from, to) = (self.heads * width, (self.heads + 1) * width);
        let out = rec.alloc(&[frames, self.heads + 1, width], DType::F32)?;
        for t in 0..frames {
            rec.copy(tokens, t * from, &out, t * to, from)?;
            rec.copy(&self.padding_tokens, 0, &out, t * to + from, width)?;
        }
        Ok(out)
    }
}

/// SiLU after a layer norm of each row.
fn norm(rec: &mut Recorder, x: &Tensor) -> Result<Tensor> {
    let normed = layer_norm(rec, &x.reshape(&[x.rows(), x.cols()]), Affine::None, EPS, DType::F32)?;
    Ok(activate(rec, &normed, Activation::Silu, DType::F32)?.reshape(x.shape()))
}

/// A causal convolution along time: the first entry is repeated in front.
#[derive(Debug)]
struct Conv {
    weight: ConvWeight,
    bias: Tensor,
    stride: usize,
}

impl Conv {
    /// `name.weight` [outputs, inputs, 3] and `name.bias` [outputs].
    fn load(loader: &Loader, name: &str, inputs: usize, outputs: usize, stride: usize) -> Result<Self> {
        let scope = loader.scope(name);
        let weight = scope.values("weight", &[outputs, inputs, KERNEL])?;
        Ok(Self {
            weight: scope.conv_from("weight", &[outputs, inputs, KERNEL, 1, 1], &weight)?,
            bias: scope.tensor("bias", &[outputs])?,
            stride,
        })
    }

    /// x [F, 1, N, C]
    fn forward(&self, rec: &mut Recorder, x: &Tensor) -> Result<Tensor> {
        let first = slice(rec, x, 0, 1)?;
        let padded = concat(rec, &[&first, &first, x])?;
        let finish = Finish { bias: Some(&self.bias), ..Default::default() };
        let options = ConvOptions { stride_t: self.stride, finish, ..Default::default() };
        conv(rec, &padded, &self.weight, options, DType::F32)
    }
}
