//! Frames to latents.

use std::sync::Arc;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::layers::{CausalConv3d, Loader};
use crate::models::vae::{
    blocks::Head, blocks::ResidualBlock, config::Config, config::Level, levels::mid_block, levels::resnets, resample::Downsample,
    shortcut::Shortcut, stream::Layer, stream::Stream,
};
use crate::ops::permute::permute;

/// The encoder's layers in the order of the checkpoint, `quant_conv` last.
pub(super) fn layers(loader: &Loader, config: &Config) -> Result<Vec<Layer>> {
    let scope = loader.scope("encoder");
    let conv_in = CausalConv3d::load(&scope, "conv_in", [config.base_dim, config.in_channels, 3, 3, 3])?;
    let mut layers = vec![Layer::Conv(conv_in)];
    layers.extend(if config.is_residual { residual_levels(&scope, config) } else { plain_levels(&scope, config) }?);
    let deepest = config.encoder_levels().last().map_or(0, |level| level.outputs);
    layers.extend(mid_block(&scope, deepest)?);
    layers.push(Layer::Head(Head::load(&scope, deepest, 2 * config.z_dim)?));
    layers.push(Layer::Conv(quant_conv(&loader.scope("quant_conv"), config)?));
    Ok(layers)
}

/// Those of VAE 2.1: residual blocks and downsamplers of all levels are numbered through.
fn plain_levels(scope: &Loader, config: &Config) -> Result<Vec<Layer>> {
    let mut layers = Vec::new();
    let block = |layers: &[Layer]| scope.scope(format_args!("down_blocks.{}", layers.len()));
    for level in config.encoder_levels() {
        for i in 0..config.num_res_blocks {
            let inputs = if i == 0 { level.inputs } else { level.outputs };
            layers.push(Layer::Residual(ResidualBlock::load(&block(&layers), inputs, level.outputs)?));
        }
        if let Some(in_time) = level.step {
            layers.push(Layer::Downsample(Downsample::load(&block(&layers), level.outputs, in_time)?));
        }
    }
    Ok(layers)
}

/// Those of VAE 2.2: a level has a number, and a shortcut past it even where the resolution stays.
fn residual_levels(scope: &Loader, config: &Config) -> Result<Vec<Layer>> {
    let levels = config.encoder_levels();
    let level = |(i, level): (usize, &Level)| {
        let scope = scope.scope(format_args!("down_blocks.{i}"));
        let mut main = resnets(&scope, config.num_res_blocks, level.inputs, level.outputs)?;
        if let Some(in_time) = level.step {
            main.push(Layer::Downsample(Downsample::load(&scope.scope("downsampler"), level.outputs, in_time)?));
        }
        Ok(Layer::Shortcut(Shortcut::down(main, level.block())))
    };
    levels.iter().enumerate().map(level).collect()
}

/// The part of `quant_conv` that gives the posterior's mean, its mode, scaled so that latents come out normalised. The rest
/// would give the variance, which nobody asks for.
fn quant_conv(scope: &Loader, config: &Config) -> Result<CausalConv3d> {
    let (z, inputs) = (config.z_dim, 2 * config.z_dim);
    let (weight, bias) = (scope.values("weight", &[inputs, inputs, 1, 1, 1])?, scope.values("bias", &[inputs])?);
    let scaled = || {
        let (mut weight, mut bias) = (weight()?, bias()?);
        weight.truncate(z * inputs);
        bias.truncate(z);
        for (channel, row) in weight.chunks_mut(inputs).enumerate() {
            let (mean, std) = (config.latents_mean[channel], config.latents_std[channel]);
            row.iter_mut().for_each(|value| *value = (f64::from(*value) / std) as f32);
            bias[channel] = ((f64::from(bias[channel]) - mean) / std) as f32;
        }
        Result::Ok((weight, bias))
    };
    CausalConv3d::from_values(scope, [z, inputs, 1, 1, 1], &|| Ok(scaled()?.0), &|| Ok(scaled()?.1))
}

/// Encodes one video, frame by frame. Made by [`Vae::encoder`](super::Vae::encoder).
#[derive(Debug)]
pub struct Encoder {
    stream: Stream,
    /// u, and pixels on a side of a patch.
    unit: usize,
    patch: usize,
}

impl Encoder {
    pub(super) fn new(layers: &Arc<[Layer]>, config: &Config) -> Self {
        Self { stream: Stream::new(layers, 0..layers.len()), unit: config.pixels_per_latent(), patch: config.patch() }
    }

    /// Takes the next frame [H, W, 3], in -1..=1. The first one gives a latent frame [H/u, W/u, z], and after it every fourth.
    ///
    /// # Errors
    /// [`Error::Input`] where the height or the width is no multiple of u =
    /// [`pixels_per_latent`](Config::pixels_per_latent) or differs from the frame before.
    pub fn next(&mut self, rec: &mut Recorder, frame: &Tensor) -> Result<Option<Tensor>> {
        let unit = self.unit;
        let &[height, width, _] = frame.shape() else {
            return Err(Error::Input(format!("frame: shape {:?}, expected [H, W, C]", frame.shape())));
        };
        if height == 0 || width == 0 || height % unit != 0 || width % unit != 0 {
            return Err(Error::Input(format!("a frame of {width} x {height} pixels: both must be multiples of {unit}")));
        }
        let frame = fold(rec, frame, self.patch)?;
        let latents = self.stream.next(rec, frame)?.pop();
        Ok(latents.map(|latent| latent.reshape(&latent.shape()[1..])))
    }
}

/// A frame [H, W, C] to [1, H / p, W / p, C * p * p]: a pixel's channels are, of each channel of a patch, its columns one after
/// another.
pub(super) fn fold(rec: &mut Recorder, frame: &Tensor, patch: usize) -> Result<Tensor> {
    let &[height, width, channels] = frame.shape() else { return Ok(frame.clone()) };
    if patch == 1 {
        return Ok(frame.reshape(&[1, height, width, channels]));
    }
    let (height, width) = (height / patch, width / patch);
    let pixels = frame.reshape(&[height, patch, width, patch, channels]);
    let folded = permute(rec, &pixels, &[0, 2, 4, 3, 1], DType::F32)?;
    Ok(folded.reshape(&[1, height, width, channels * patch * patch]))
}
