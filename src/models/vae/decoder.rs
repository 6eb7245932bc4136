//! Latents to frames.

use std::sync::Arc;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::layers::{CausalConv3d, Loader, Precision};
use crate::models::vae::{
    blocks::Head, config::Config, levels::mid_block, levels::resnets, resample::Upsample, shortcut::Shortcut, stream::Layer, stream::Stream,
};
use crate::ops::{Activation, copy::concat, lincomb::activate, permute::permute};

/// The decoder's layers in the order of the checkpoint, `post_quant_conv` first.
pub(super) fn layers(loader: &Loader, config: &Config) -> Result<Vec<Layer>> {
    let scope = loader.scope("decoder");
    let levels = config.decoder_levels();
    let (deepest, widest) = (levels.first().map_or(0, |level| level.inputs), levels.last().map_or(0, |level| level.outputs));
    let mut layers = vec![
        Layer::Conv(post_quant_conv(&loader.scope("post_quant_conv"), config)?),
        Layer::Conv(CausalConv3d::load(&scope, "conv_in", [deepest, config.z_dim, 3, 3, 3])?),
    ];
    layers.extend(mid_block(&scope, deepest)?);
    for (i, level) in levels.iter().enumerate() {
        let scope = scope.scope(format_args!("up_blocks.{i}"));
        let mut main = resnets(&scope, config.num_res_blocks + 1, level.inputs, level.outputs)?;
        if let Some(in_time) = level.step {
            let (name, outputs) = if config.is_residual { ("upsampler", level.outputs) } else { ("upsamplers.0", level.outputs / 2) };
            main.push(Layer::Upsample(Upsample::load(&scope.scope(name), level.outputs, outputs, in_time)?));
        }
        match config.is_residual && level.step.is_some() {
            true => layers.push(Layer::Shortcut(Shortcut::up(main, level.block()))),
            false => layers.extend(main),
        }
    }
    layers.push(Layer::Head(Head::load(&scope, widest, config.out_channels)?));
    Ok(layers)
}

/// `post_quant_conv`, scaled so that it takes normalised latents. It stays in f32: all the picture passes through its few weights.
fn post_quant_conv(scope: &Loader, config: &Config) -> Result<CausalConv3d> {
    let z = config.z_dim;
    let (weight, bias) = (scope.values("weight", &[z, z, 1, 1, 1])?, scope.values("bias", &[z])?);
    let scaled = || {
        let (mut weight, mut bias) = (weight()?, bias()?);
        for (row, bias) in weight.chunks_mut(z).zip(&mut bias) {
            let shift: f64 = row.iter().zip(&config.latents_mean).map(|(&value, mean)| f64::from(value) * mean).sum();
            *bias = (f64::from(*bias) + shift) as f32;
            row.iter_mut().zip(&config.latents_std).for_each(|(value, std)| *value = (f64::from(*value) * std) as f32);
        }
        Result::Ok((weight, bias))
    };
    let in_f32 = scope.with_precision(Precision::F32);
    CausalConv3d::from_values(&in_f32, [z, z, 1, 1, 1], &|| Ok(scaled()?.0), &|| Ok(scaled()?.1))
}

/// Decodes one video, latent frame by latent frame. Made by [`Vae::decoder`](super::Vae::decoder).
#[derive(Debug)]
pub struct Decoder {
    stream: Stream,
    /// Pixels on a side of a patch.
    patch: usize,
}

impl Decoder {
    pub(super) fn new(layers: &Arc<[Layer]>, config: &Config) -> Self {
        Self { stream: Stream::new(layers, 0..layers.len()), patch: config.patch() }
    }

    /// Takes the next latent frame [H/u, W/u, z], normalised, and gives the frames that it stands for in -1..=1: [1, H, W, 3] for
    /// the first latent frame, [4, H, W, 3] for each later one.
    ///
    /// # Errors
    /// [`Error::Input`] where the size is not that of the frame before.
    pub fn next(&mut self, rec: &mut Recorder, latent: &Tensor) -> Result<Tensor> {
        let &[height, width, channels] = latent.shape() else {
            return Err(Error::Input(format!("latent: shape {:?}, expected [H, W, C]", latent.shape())));
        };
        let frames = self.stream.next(rec, latent.reshape(&[1, height, width, channels]))?;
        pixels(rec, &frames, self.patch)
    }
}

/// What the layers made, [1, H, W, C * p * p] each, as frames [F, H * p, W * p, C] in -1..=1.
pub fn pixels(rec: &mut Recorder, frames: &[Tensor], patch: usize) -> Result<Tensor> {
    let frames = concat(rec, &frames.iter().collect::<Vec<_>>())?;
    let frames = unfold(rec, frames, patch)?;
    activate(rec, &frames, Activation::HardTanh, DType::F32)
}

/// Frames [F, H, W, C * p * p] to [F, H * p, W * p, C]: a pixel's channels are, of each channel of a patch, its columns one after
/// another.
fn unfold(rec: &mut Recorder, frames: Tensor, patch: usize) -> Result<Tensor> {
    let &[count, height, width, channels] = frames.shape() else { return Ok(frames) };
    if patch == 1 {
        return Ok(frames);
    }
    let channels = channels / (patch * patch);
    // Six axes at most: frames and rows can be one, for no row goes to another frame.
    let pixels = frames.reshape(&[count * height, width, channels, patch, patch]);
    let rows = permute(rec, &pixels, &[0, 4, 1, 3, 2], DType::F32)?;
    Ok(rows.reshape(&[count, height * patch, width * patch, channels]))
}
