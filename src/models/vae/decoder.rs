//! Latents to frames.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::Recorder;
use crate::layers::{CausalConv3d, Loader, Precision};
use crate::models::vae::blocks::{Head, ResidualBlock, mid_block};
use crate::models::vae::config::Config;
use crate::models::vae::resample::Upsample;
use crate::models::vae::stream::{Layer, Stream};
use crate::ops::Activation;
use crate::ops::copy::concat;
use crate::ops::lincomb::activate;
use crate::tensor::Tensor;

/// The decoder's layers in the order of the checkpoint, `post_quant_conv` first.
pub(super) fn layers(loader: &Loader, config: &Config) -> Result<Vec<Layer>> {
    let scope = loader.scope("decoder");
    let deepest = config.dim_mult.last().copied().unwrap_or(1);
    let mut width = config.decoder_dim() * deepest;
    let mut layers = vec![
        Layer::Conv(post_quant_conv(&loader.scope("post_quant_conv"), config)?),
        Layer::Conv(CausalConv3d::load(&scope, "conv_in", [width, config.z_dim, 3, 3, 3])?),
    ];
    layers.extend(mid_block(&scope, width)?);
    for (level, multiple) in config.dim_mult.iter().rev().enumerate() {
        let block = scope.scope(format_args!("up_blocks.{level}"));
        let outputs = config.decoder_dim() * multiple;
        for i in 0..=config.num_res_blocks {
            layers.push(Layer::Residual(ResidualBlock::load(&block.scope(format_args!("resnets.{i}")), width, outputs)?));
            width = outputs;
        }
        if let Some(&in_time) = config.temperal_downsample.iter().rev().nth(level) {
            layers.push(Layer::Upsample(Upsample::load(&block.scope("upsamplers.0"), width, in_time)?));
            width /= 2;
        }
    }
    layers.push(Layer::Head(Head::load(&scope, width, config.out_channels)?));
    Ok(layers)
}

/// `post_quant_conv`, scaled so that it takes normalised latents. It stays in f32: all the picture passes through its few weights.
fn post_quant_conv(scope: &Loader, config: &Config) -> Result<CausalConv3d> {
    let z = config.z_dim;
    let mut weight = scope.values("weight", &[z, z, 1, 1, 1])?;
    let mut bias = scope.values("bias", &[z])?;
    for (row, bias) in weight.chunks_mut(z).zip(&mut bias) {
        let shift: f64 = row.iter().zip(&config.latents_mean).map(|(&value, mean)| f64::from(value) * mean).sum();
        *bias = (f64::from(*bias) + shift) as f32;
        row.iter_mut().zip(&config.latents_std).for_each(|(value, std)| *value = (f64::from(*value) * std) as f32);
    }
    CausalConv3d::from_values(&scope.with_precision(Precision::F32), [z, z, 1, 1, 1], &weight, &bias)
}

/// Decodes one video, latent frame by latent frame. Made by [`Vae::decoder`](super::Vae::decoder).
#[derive(Debug)]
pub struct Decoder<'a> {
    stream: Stream<'a>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(layers: &'a [Layer]) -> Self {
        Self { stream: Stream::new(layers) }
    }

    /// Takes the next latent frame [H/8, W/8, z], normalised, and gives the frames that it stands for in -1..=1: [1, H, W, 3] for
    /// the first latent frame, [4, H, W, 3] for each later one.
    ///
    /// # Errors
    /// [`Error::Input`] where the size is not that of the frame before.
    pub fn next(&mut self, rec: &mut Recorder, latent: &Tensor) -> Result<Tensor> {
        let &[height, width, channels] = latent.shape() else {
            return Err(Error::Input(format!("latent: shape {:?}, expected [H, W, C]", latent.shape())));
        };
        let frames = self.stream.next(rec, latent.reshape(&[1, height, width, channels]))?;
        let frames = concat(rec, &frames.iter().collect::<Vec<_>>())?;
        activate(rec, &frames, Activation::HardTanh, DType::F32)
    }
}
