//! What is remembered of an image and the mask that was found in it.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::{LayerNorm, Linear, Loader, Mlp};
use crate::models::sam2::{config::Config, downscaling::Downscaling, neck::pointwise};
use crate::ops::Activation;
use crate::ops::channelwise::channelwise;
use crate::ops::finish::Finish;
use crate::ops::lincomb::activate;
use crate::ops::resample::{Between, resample};
use crate::ops::unary::{Function, unary};
use crate::ops::window::Window;

/// Added to variances by all its norms.
const EPS: f32 = 1e-6;

/// Steps from the image's size to that of the features, each of which halves height and width.
const STEPS: usize = 4;

/// What a share of a mask from 0 to 1 becomes: a x + b.
const SHARES: Function = Function::Affine(20.0, -10.0);

/// A block of ConvNeXt.
#[derive(Debug)]
struct Block {
    /// [7, 7, C]
    dwconv: Tensor,
    dwconv_bias: Tensor,
    norm: LayerNorm,
    mlp: Mlp,
    gamma: Tensor,
    dtype: DType,
}

impl Block {
    const KERNEL: usize = 7;

    fn load(loader: &Loader, width: usize, hidden: usize) -> Result<Self> {
        let (k, depthwise) = (Self::KERNEL, loader.scope("dwconv"));
        let values = depthwise.values("weight", &[width, 1, k, k])?;
        let turned = || values().map(|values| (0..values.len()).map(|i| values[i % width * k * k + i / width]).collect());
        Ok(Self {
            dwconv: depthwise.upload("weight", &[k, k, width], &turned)?,
            dwconv_bias: depthwise.tensor("bias", &[width])?,
            norm: LayerNorm::load(loader, "norm", width, EPS)?,
            mlp: Mlp::load(loader, ["pwconv1", "pwconv2"], [width, hidden], Activation::GeluErf)?,
            gamma: loader.tensor("gamma", &[width])?,
            dtype: loader.precision().operand(),
        })
    }

    /// x [side * side, C] in f32 to the same.
    fn forward(&self, rec: &mut Recorder, x: &Tensor, side: usize) -> Result<Tensor> {
        let around = Self::KERNEL / 2;
        let window = Window { kernel: [Self::KERNEL; 2], stride: [1, 1], pad: [(around, around); 2], places: [side, side] };
        let finish = Finish { bias: Some(&self.dwconv_bias), ..Default::default() };
        let seen = channelwise(rec, &x.reshape(&[1, side, side, x.cols()]), &self.dwconv, &window, finish, DType::F32)?;
        let normed = self.norm.forward(rec, &seen.reshape(x.shape()), self.dtype)?;
        self.mlp.forward(rec, &normed, Some(&self.gamma), x)
    }
}

/// Makes memories.
#[derive(Debug)]
pub struct MemoryEncoder {
    image_size: usize,
    side: usize,
    mask_steps: [Downscaling; STEPS],
    mask_proj: Linear,
    pix_feat_proj: Linear,
    fuser: [Block; 2],
    out_proj: Linear,
}

impl MemoryEncoder {
    /// From `memory_encoder.`
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        let (width, mask) = (config.hidden_size, loader.scope("mask_downsampler.encoder"));
        let step = |number| Downscaling::load(&mask, number, [1 << (2 * number), 4 << (2 * number)], 3);
        let block = |number: usize| Block::load(&loader.scope(format_args!("fuser.layers.{number}")), width, config.memory_fuser_dim);
        Ok(Self {
            image_size: config.image_size,
            side: config.image_side(),
            mask_steps: [step(0)?, step(1)?, step(2)?, step(3)?],
            mask_proj: pointwise(&mask, "12", 1 << (2 * STEPS), width)?,
            pix_feat_proj: pointwise(loader, "pix_feat_proj", width, width)?,
            fuser: [block(0)?, block(1)?],
            out_proj: pointwise(loader, "out_proj", width, config.memory_dim)?,
        })
    }

    /// Of features [H * W, C] and a mask's logits [1, 4 H, 4 W, 1]: [H * W, memory] in f32. A mask that follows from a prompt counts as sure.
    pub fn forward(&self, rec: &mut Recorder, features: &Tensor, logits: &Tensor, is_prompted: bool) -> Result<Tensor> {
        let lines = lines(4 * self.side, self.image_size);
        let large = resample(rec, logits, &lines, &lines, DType::F32)?;
        let shares = match is_prompted {
            // 1 above 0, else 0.
            true => unary(rec, &large, Function::HardSigmoid(1e38, 0.0))?,
            false => activate(rec, &large, Activation::Sigmoid, DType::F32)?,
        };
        let mut mask = unary(rec, &shares, SHARES)?;
        for step in &self.mask_steps {
            mask = step.forward(rec, &mask)?;
        }
        let mask = self.mask_proj.forward(rec, &mask.reshape(&[mask.rows(), mask.cols()]), DType::F32)?;
        let mut x = self.pix_feat_proj.forward_residual(rec, features, None, &mask)?;
        for block in &self.fuser {
            x = block.forward(rec, &x, self.side)?;
        }
        self.out_proj.forward(rec, &x, DType::F32)
    }
}

/// From so many lines to so many more, by the middles of pixels.
fn lines(from: usize, to: usize) -> Vec<Between> {
    let line = |i: usize| {
        let at = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0);
        let first = at as usize;
        (first, (first + 1).min(from - 1), (at - first as f64) as f32)
    };
    (0..to).map(line).collect()
}
