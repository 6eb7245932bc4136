//! The motion encoder: from a face to a few coefficients of motion, and from those to a vector.
//!
//! Everything is f32. Inside, images are [F, H, W, C].

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::layers::{Linear, Loader};
use crate::linalg::qr_q;
use crate::models::dit::config::Config;
use crate::ops::conv::{ConvOptions, ConvWeight, conv};
use crate::ops::finish::Finish;
use crate::ops::{Activation, copy::concat, copy::slice, depthwise::depthwise, lincomb::lincomb, matrix::Matrix};
use crate::shape::Dims;

/// Linear layers between the convolutions and the coefficients.
const LINEAR_LAYERS: usize = 5;
/// Height and width that the last convolution sees.
const LAST_SIZE: usize = 4;
/// Height and width of faces at most: an empty one is made before anything could refuse a size that no memory holds.
const LARGEST_SIZE: usize = 4096;
/// The blur before a convolution that halves the size, in each direction.
const BLUR: [f32; 4] = [1.0, 3.0, 3.0, 1.0];

/// `motion_encoder` of Animate.
#[derive(Debug)]
pub struct MotionEncoder {
    size: usize,
    frames_at_once: usize,
    /// [4, 4]
    blur: Tensor,
    conv_in: Conv,
    res_blocks: Vec<ResBlock>,
    conv_out: Conv,
    motion_network: Vec<Linear>,
    /// Orthonormal directions of motion, [motion_encoder_dim, motion_dim].
    directions: Linear,
}

impl MotionEncoder {
    /// From `motion_encoder.`
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        let sizes = sizes(config.motion_encoder_size)?;
        let channels = sizes.iter().map(|&size| channels(config, size)).collect::<Result<Vec<_>>>()?;
        let res_blocks = channels.windows(2).enumerate();
        let res_blocks = res_blocks.map(|(i, pair)| ResBlock::load(&loader.scope(format_args!("res_blocks.{i}")), pair[0], pair[1]));
        let style = config.motion_style_dim;
        let linear = |i: usize| {
            let outputs = if i + 1 == LINEAR_LAYERS { config.motion_dim } else { style };
            linear(&loader.scope(format_args!("motion_network.{i}")), style, outputs)
        };
        Ok(Self {
            size: sizes[0],
            frames_at_once: frames_at_once(loader, config, &sizes, &channels),
            blur: loader.upload("blur", &[4, 4], &|| Ok(BLUR.map(|row| BLUR.map(|col| row * col / 64.0)).concat()))?,
            conv_in: Conv::activated(loader, "conv_in", [channels[0], 3, 1], 1)?,
            res_blocks: res_blocks.collect::<Result<_>>()?,
            conv_out: Conv::plain(loader, "conv_out", [style, channels[channels.len() - 1], LAST_SIZE], 1)?,
            motion_network: (0..LINEAR_LAYERS).map(linear).collect::<Result<_>>()?,
            directions: Linear::new(directions(loader, config)?, None),
        })
    }

    /// Motion vectors [F, motion_encoder_dim] of face frames [F, S, S, 3] in [-1, 1]. A few frames are worked on at a time.
    pub fn forward(&self, rec: &mut Recorder, frames: &Tensor) -> Result<Tensor> {
        let dims = Dims::new().check("face frames", frames, &["F", "H", "W", "3"])?;
        let (count, h, w, size) = (dims.get("F"), dims.get("H"), dims.get("W"), self.size);
        if h != size || w != size || count == 0 {
            return Err(Error::Input(format!("{count} face frames of {w}x{h}; at least one of {size}x{size} is needed")));
        }
        let mut motions = Vec::new();
        for first in (0..count).step_by(self.frames_at_once) {
            let batch = slice(rec, frames, first, self.frames_at_once.min(count - first))?;
            motions.push(self.batch(rec, &batch)?);
        }
        concat(rec, &motions.iter().collect::<Vec<_>>())
    }

    fn batch(&self, rec: &mut Recorder, frames: &Tensor) -> Result<Tensor> {
        let mut x = self.conv_in.forward(rec, frames, &self.blur)?;
        for block in &self.res_blocks {
            x = block.forward(rec, &x, &self.blur)?;
        }
        let x = self.conv_out.forward(rec, &x, &self.blur)?;
        let mut x = x.reshape(&[x.rows(), x.cols()]);
        for linear in &self.motion_network {
            x = linear.forward(rec, &x, DType::F32)?;
        }
        self.directions.forward(rec, &x, DType::F32)
    }
}

/// The sizes of images from the input's on, each half the one before, rounded down.
fn sizes(size: usize) -> Result<Vec<usize>> {
    let sizes: Vec<_> = std::iter::successors(Some(size), |&size| Some(size / 2)).take_while(|&size| size >= LAST_SIZE).collect();
    match sizes.last() {
        Some(&LAST_SIZE) if size <= LARGEST_SIZE => Ok(sizes),
        _ => Err(Error::Input(format!(
            "transformer config: `motion_encoder_size` {size} does not halve to {LAST_SIZE}, or is over {LARGEST_SIZE}"
        ))),
    }
}

/// Channels at an image size. Only the input's size needs an entry of its own; the others have that of their power of two.
fn channels(config: &Config, size: usize) -> Result<usize> {
    let key = if size == config.motion_encoder_size { size } else { 1 << size.ilog2() };
    let channels = match &config.motion_encoder_channel_sizes {
        Some(table) => table.get(&key.to_string()).copied(),
        // 512 up to a size of 32, then half as many for twice the size.
        None => (key.is_power_of_two() && key <= 1024).then(|| (16384 / key).min(512)),
    };
    let message = || format!("transformer config: `motion_encoder_channel_sizes` has no usable entry for `{key}`");
    channels.filter(|channels| (1..=1 << 16).contains(channels)).ok_or_else(|| Error::Input(message()))
}

/// As many frames as the configuration says, or fewer if one binding cannot hold their largest image.
fn frames_at_once(loader: &Loader, config: &Config, sizes: &[usize], channels: &[usize]) -> usize {
    let largest = sizes.iter().zip(channels).map(|(size, channels)| (size + 1) * (size + 1) * channels * 4).max().unwrap_or(1);
    config.motion_encoder_batch_size.min(loader.largest_buffer() as usize / largest).max(1)
}

/// The Q factor of the synthesis weight.
fn directions(loader: &Loader, config: &Config) -> Result<Matrix> {
    let (rows, cols) = (config.motion_encoder_dim, config.motion_dim);
    if cols > rows {
        return Err(Error::Input(format!("transformer config: `motion_dim` {cols} is greater than `motion_encoder_dim` {rows}")));
    }
    let name = "motion_synthesis_weight";
    let weight = loader.values(name, &[rows, cols])?;
    let directions = || Ok(qr_q(&weight()?.iter().map(|value| value + 1e-8).collect::<Vec<_>>(), rows, cols));
    loader.matrix_from(name, [rows, cols], &directions)
}

/// Weights in a checkpoint have unit variance; layers divide them by the root of the number of inputs.
fn scaled<'a>(loader: &Loader<'a>, shape: &[usize]) -> Result<impl Fn() -> Result<Vec<f32>> + use<'a>> {
    let values = loader.values("weight", shape)?;
    let scale = (1.0 / (shape[1..].iter().product::<usize>() as f64).sqrt()) as f32;
    Ok(move || Ok(values()?.into_iter().map(|value| value * scale).collect()))
}

fn linear(loader: &Loader, inputs: usize, outputs: usize) -> Result<Linear> {
    let weight = loader.matrix_from("weight", [outputs, inputs], &scaled(loader, &[outputs, inputs])?)?;
    Ok(Linear::new(weight, Some(loader.tensor("bias", &[outputs])?)))
}

#[derive(Debug)]
struct ResBlock {
    conv1: Conv,
    conv2: Conv,
    conv_skip: Conv,
}

impl ResBlock {
    fn load(loader: &Loader, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self {
            conv1: Conv::activated(loader, "conv1", [inputs, inputs, 3], 1)?,
            conv2: Conv::activated(loader, "conv2", [outputs, inputs, 3], 2)?,
            conv_skip: Conv::plain(loader, "conv_skip", [outputs, inputs, 1], 2)?,
        })
    }

    fn forward(&self, rec: &mut Recorder, x: &Tensor, blur: &Tensor) -> Result<Tensor> {
        let skip = self.conv_skip.forward(rec, x, blur)?;
        let x = self.conv1.forward(rec, x, blur)?;
        let x = self.conv2.forward(rec, &x, blur)?;
        let half = std::f64::consts::FRAC_1_SQRT_2;
        lincomb(rec, &[(half, &x), (half, &skip)], DType::F32)
    }
}

/// A convolution that keeps the size, or halves it after a blur.
#[derive(Debug)]
struct Conv {
    weight: ConvWeight,
    /// An activation follows where there is one.
    bias: Option<Tensor>,
    stride: usize,
    /// Zeros around the image.
    pad: usize,
}

impl Conv {
    /// `name.weight` [outputs, inputs, k, k] alone; without zeros around the image.
    fn plain(loader: &Loader, name: &str, [outputs, inputs, k]: [usize; 3], stride: usize) -> Result<Self> {
        let (scope, shape) = (loader.scope(name), [outputs, inputs, k, k]);
        let weight = scope.conv_from("weight", &shape, &scaled(&scope, &shape)?)?;
        Ok(Self { weight, bias: None, stride, pad: 0 })
    }

    fn activated(loader: &Loader, name: &str, shape: [usize; 3], stride: usize) -> Result<Self> {
        let [outputs, _, k] = shape;
        let bias = loader.scope(name).tensor("act_fn.bias", &[outputs])?;
        let pad = if stride == 1 { k / 2 } else { 0 };
        Ok(Self { bias: Some(bias), pad, ..Self::plain(loader, name, shape, stride)? })
    }

    fn forward(&self, rec: &mut Recorder, x: &Tensor, blur: &Tensor) -> Result<Tensor> {
        let activation = if self.bias.is_some() { Activation::ScaledLeakyRelu } else { Activation::None };
        let finish = Finish { bias: self.bias.as_ref(), activation, ..Default::default() };
        let pad = [(0, 0), (self.pad, self.pad), (self.pad, self.pad)];
        let options = ConvOptions { stride: self.stride, pad, finish, ..Default::default() };
        if self.stride == 1 {
            return conv(rec, x, &self.weight, options, DType::F32);
        }
        let [_, k, _] = self.weight.kernel();
        let margin = k.div_ceil(2);
        let x = depthwise(rec, x, blur, (margin, margin), DType::F32)?;
        conv(rec, &x, &self.weight, options, DType::F32)
    }
}
