//! Frames to latents.

use crate::error::{Error, Result};
use crate::gpu::Recorder;
use crate::layers::{CausalConv3d, Loader};
use crate::models::vae::blocks::{Head, ResidualBlock, mid_block};
use crate::models::vae::config::Config;
use crate::models::vae::resample::Downsample;
use crate::models::vae::stream::{Layer, Stream};
use crate::tensor::Tensor;

/// The encoder's layers in the order of the checkpoint, `quant_conv` last.
pub(super) fn layers(loader: &Loader, config: &Config) -> Result<Vec<Layer>> {
    let scope = loader.scope("encoder");
    let mut width = config.base_dim;
    let mut layers = vec![Layer::Conv(CausalConv3d::load(&scope, "conv_in", [width, config.in_channels, 3, 3, 3])?)];
    // Residual blocks and downsamplers are numbered through; `conv_in` stands before them.
    let block = |layers: &[Layer]| scope.scope(format_args!("down_blocks.{}", layers.len() - 1));
    for (level, multiple) in config.dim_mult.iter().enumerate() {
        let outputs = config.base_dim * multiple;
        for _ in 0..config.num_res_blocks {
            layers.push(Layer::Residual(ResidualBlock::load(&block(&layers), width, outputs)?));
            width = outputs;
        }
        if let Some(&in_time) = config.temperal_downsample.get(level) {
            layers.push(Layer::Downsample(Downsample::load(&block(&layers), width, in_time)?));
        }
    }
    layers.extend(mid_block(&scope, width)?);
    layers.push(Layer::Head(Head::load(&scope, width, 2 * config.z_dim)?));
    layers.push(Layer::Conv(quant_conv(&loader.scope("quant_conv"), config)?));
    Ok(layers)
}

/// The part of `quant_conv` that gives the posterior's mean, its mode, scaled so that latents come out normalised. The rest
/// would give the variance, which nobody asks for.
fn quant_conv(scope: &Loader, config: &Config) -> Result<CausalConv3d> {
    let (z, inputs) = (config.z_dim, 2 * config.z_dim);
    let mut weight = scope.values("weight", &[inputs, inputs, 1, 1, 1])?;
    let mut bias = scope.values("bias", &[inputs])?;
    weight.truncate(z * inputs);
    bias.truncate(z);
    for (channel, row) in weight.chunks_mut(inputs).enumerate() {
        let (mean, std) = (config.latents_mean[channel], config.latents_std[channel]);
        row.iter_mut().for_each(|value| *value = (f64::from(*value) / std) as f32);
        bias[channel] = ((f64::from(bias[channel]) - mean) / std) as f32;
    }
    CausalConv3d::from_values(scope, [z, inputs, 1, 1, 1], &weight, &bias)
}

/// Encodes one video, frame by frame. Made by [`Vae::encoder`](super::Vae::encoder).
#[derive(Debug)]
pub struct Encoder<'a> {
    stream: Stream<'a>,
    config: &'a Config,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(layers: &'a [Layer], config: &'a Config) -> Self {
        Self { stream: Stream::new(layers), config }
    }

    /// Takes the next frame [H, W, 3], in -1..=1. The first one gives a latent frame [H/8, W/8, z], and after it every fourth.
    ///
    /// # Errors
    /// [`Error::Input`] where the height or the width is no multiple of 8 (of
    /// [`pixels_per_latent`](Config::pixels_per_latent)) or differs from the frame before.
    pub fn next(&mut self, rec: &mut Recorder, frame: &Tensor) -> Result<Option<Tensor>> {
        let unit = self.config.pixels_per_latent();
        let &[height, width, channels] = frame.shape() else {
            return Err(Error::Input(format!("frame: shape {:?}, expected [H, W, C]", frame.shape())));
        };
        if height == 0 || width == 0 || height % unit != 0 || width % unit != 0 {
            return Err(Error::Input(format!("a frame of {width} x {height} pixels: both must be multiples of {unit}")));
        }
        let latents = self.stream.next(rec, frame.reshape(&[1, height, width, channels]))?.pop();
        Ok(latents.map(|latent| latent.reshape(&latent.shape()[1..])))
    }
}
