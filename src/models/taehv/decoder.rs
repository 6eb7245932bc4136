//! Latents to frames.

use std::sync::Arc;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::layers::Loader;
use crate::models::taehv::block::Conv;
use crate::models::taehv::config::{Config, LEVELS};
use crate::models::taehv::level::{BLOCKS, Level};
use crate::models::vae::decoder::pixels;
use crate::ops::unary::{Function, unary};
use crate::ops::{Activation, finish::Finish, lincomb::lincomb};

/// Latents beyond plus and minus this are drawn in: `3 tanh(x / 3)`.
const RANGE: f64 = 3.0;

/// The decoder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TinyDecoder {
    config: Config,
    layers: Arc<Layers>,
}

#[derive(Debug)]
struct Layers {
    conv_in: Conv,
    levels: [Level; LEVELS],
    conv_out: Conv,
}

impl TinyDecoder {
    /// Reads the tensors `decoder.N` in the names of the released files.
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        config.check()?;
        let scope = loader.scope("decoder");
        let level = |i: usize| Level::load(&scope, 3 + 6 * i, config.widths[i], config.widths[i + 1], config.frames[i]);
        let layers = Layers {
            conv_in: conv_in(&scope.scope("1"), config)?,
            levels: [level(0)?, level(1)?, level(2)?],
            conv_out: conv_out(&scope.scope("22"), config)?,
        };
        Ok(Self { config: config.clone(), layers: Arc::new(layers) })
    }

    /// The sizes it was loaded with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Begins to decode a video.
    pub fn stream(&self) -> Stream {
        let skip = self.config.frames_per_latent() - 1;
        Stream { decoder: self.clone(), past: Default::default(), skip }
    }
}

/// Decodes one video, latent frame by latent frame. Made by [`TinyDecoder::stream`].
#[derive(Debug)]
pub struct Stream {
    decoder: TinyDecoder,
    /// What the blocks of each level keep.
    past: [[Option<Tensor>; BLOCKS]; LEVELS],
    /// Frames yet to come that are no frames of the video.
    skip: usize,
}

impl Stream {
    /// Takes the next latent frame [H/u, W/u, z], normalised, and gives the frames that it stands for in -1..=1: [1, H, W, 3] for the first
    /// latent frame, [4, H, W, 3] for each later one.
    ///
    /// # Errors
    /// [`Error::Input`] where the size is not that of the frame before.
    pub fn next(&mut self, rec: &mut Recorder, latent: &Tensor) -> Result<Tensor> {
        let &[height, width, channels] = latent.shape() else {
            return Err(Error::Input(format!("latent: shape {:?}, expected [H, W, C]", latent.shape())));
        };
        let scaled = lincomb(rec, &[(1.0 / RANGE, latent)], DType::F32)?;
        let drawn_in = unary(rec, &scaled.reshape(&[height * width, channels]), Function::Tanh)?;
        let x = drawn_in.reshape(&[1, height, width, channels]);
        let layers = self.decoder.layers.clone();
        let x = layers.conv_in.forward(rec, &x, None, false, relu())?;
        let mut frames = Vec::new();
        run(rec, &layers.levels, &mut self.past, x, &mut |rec, x| {
            match self.skip.checked_sub(1) {
                Some(left) => self.skip = left,
                None => frames.push(layers.conv_out.forward(rec, &x, None, false, Finish::default())?),
            }
            Ok(())
        })?;
        pixels(rec, &frames, self.decoder.config.patch)
    }
}

/// Depth first: where a frame has become two, the first runs to the end before the second.
fn run(
    rec: &mut Recorder,
    levels: &[Level],
    past: &mut [[Option<Tensor>; BLOCKS]],
    x: Tensor,
    end: &mut dyn FnMut(&mut Recorder, Tensor) -> Result<()>,
) -> Result<()> {
    let (Some((level, levels)), Some((own, past))) = (levels.split_first(), past.split_first_mut()) else { return end(rec, x) };
    let made = level.blocks(rec, &x, own)?;
    drop(x);
    let finish = if levels.is_empty() { relu() } else { Finish::default() };
    for index in 0..level.frames() {
        let frame = level.frame(rec, &made, index, finish)?;
        run(rec, levels, past, frame, end)?;
    }
    Ok(())
}

fn relu<'a>() -> Finish<'a> {
    Finish { activation: Activation::Relu, ..Default::default() }
}

/// Takes latents that were drawn in to -1..=1.
fn conv_in(scope: &Loader, config: &Config) -> Result<Conv> {
    let (outputs, inputs) = (config.widths[0], config.latent_channels);
    let (weight, bias) = (scope.values("weight", &[outputs, inputs, 3, 3])?, scope.values("bias", &[outputs])?);
    let scaled = || Ok(weight()?.into_iter().map(|value| (f64::from(value) * RANGE) as f32).collect());
    Conv::from_values(scope, [outputs, inputs, 1, 3, 3], &scaled, Some(&bias))
}

/// Gives samples from -1 to 1 in place of 0 to 1, and of a patch one column after another, as the autoencoder does.
fn conv_out(scope: &Loader, config: &Config) -> Result<Conv> {
    let (inputs, patch) = (config.widths[LEVELS], config.patch);
    let outputs = 3 * patch * patch;
    let (weight, bias) = (scope.values("weight", &[outputs, inputs, 3, 3])?, scope.values("bias", &[outputs])?);
    let turned = move |values: Vec<f32>, size: usize| {
        let row = |at: usize| (at / (patch * patch) * patch + at % patch) * patch + at / patch % patch;
        let rows = if values.is_empty() { 0 } else { outputs };
        (0..rows).flat_map(|at| values[row(at) * size..][..size].to_vec()).map(|value| 2.0 * value).collect::<Vec<f32>>()
    };
    let weight = move || Ok(turned(weight()?, inputs * 9));
    let bias = move || Ok(turned(bias()?, 1).into_iter().map(|value| value - 1.0).collect());
    Conv::from_values(scope, [outputs, inputs, 1, 3, 3], &weight, Some(&bias))
}
