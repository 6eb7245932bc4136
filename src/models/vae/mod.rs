//! The video autoencoders of Wan: 4 frames of u x u pixels, after a first frame of its own, become one latent pixel. u is 8 in
//! VAE 2.1 and 16 in VAE 2.2, which folds patches of pixels into channels and has [shortcuts](shortcut::Shortcut) past its levels.
//!
//! Both directions are causal: a frame depends on itself and on those before. So a video passes through all the
//! [layers](stream::Layer) one frame at a time, and what convolutions need of the past stays in a
//! [feature cache](feature_cache::FeatureCache) of fixed size. Memory depends on the size of a frame, never on the number of
//! frames, and the result is that of the whole video at once. Where even a frame is too large, there are [tiles](tiling).
//!
//! Frames are [F, H, W, 3] in f32 from -1 to 1, F = 4n + 1. Latents are [z, T, H/u, W/u] in f32, T = n + 1: the mean of the
//! posterior, normalised by the checkpoint's mean and standard deviation of each channel, as the diffusion model takes them.
//! Encoding is always in f32; decoding in [`Precision::F16`] stores the operands of its convolutions in f16. Normalising and its
//! inverse are part of the weights of the last and of the first convolution.

pub mod blocks;
pub mod config;
pub mod decoder;
pub mod encoder;
pub mod feature_cache;
pub mod levels;
pub mod names;
pub mod preview;
pub mod resample;
pub mod shortcut;
pub mod spec;
pub mod stream;
pub mod tiling;

use std::sync::Arc;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::layers::{Loader, Precision};
use crate::models::vae::{config::Config, decoder::Decoder, encoder::Encoder, stream::Layer};
use crate::ops::{copy::concat, copy::slice, permute::permute};
use crate::shape::Dims;

/// A frame [H, W, 3] from -1 to 1 on the host.
pub type Samples = Vec<f32>;

/// Latent frames that are decoded on a dry device: until nothing of the decoder's memory is empty. The others take what the last of them does.
pub(crate) const PLANNED_LATENTS: usize = 4;

/// The autoencoder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Vae {
    config: Config,
    encoder: Arc<[Layer]>,
    decoder: Arc<[Layer]>,
}

impl Vae {
    /// Reads all tensors in the names of diffusers. The loader's precision is the decoder's.
    ///
    /// # Errors
    /// Those of [`Config::check`], and [`Error::Weights`] where tensors and configuration disagree.
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        config.check()?;
        Ok(Self {
            config: config.clone(),
            encoder: encoder::layers(&loader.with_precision(Precision::F32), config)?.into(),
            decoder: decoder::layers(loader, config)?.into(),
        })
    }

    /// The configuration it was loaded with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Begins to encode a video.
    pub fn encoder(&self) -> Encoder {
        Encoder::new(&self.encoder, &self.config)
    }

    /// Begins to decode a video.
    pub fn decoder(&self) -> Decoder {
        Decoder::new(&self.decoder, &self.config)
    }

    /// Frames [F, H, W, 3] to latents [z, T, H/u, W/u].
    ///
    /// # Errors
    /// [`Error::Input`] where F is not 4n + 1 (by [`frames_per_latent`](Config::frames_per_latent)), or H or W is no multiple of u
    /// ([`pixels_per_latent`](Config::pixels_per_latent)).
    pub fn encode(&self, rec: &mut Recorder, frames: &Tensor) -> Result<Tensor> {
        let dims = Dims::new().check("frames", frames, &["F", "H", "W", "C"])?;
        let (count, unit) = (dims.get("F"), self.config.frames_per_latent());
        if count % unit != 1 % unit || count == 0 {
            return Err(Error::Input(format!("a video of {count} frames cannot be encoded, only {unit}n + 1 frames")));
        }
        let mut encoder = self.encoder();
        let mut latents = Vec::new();
        for index in 0..count {
            let frame = first_axis(rec, frames, index)?;
            latents.extend(encoder.next(rec, &frame)?);
        }
        let rows: Vec<_> = latents.iter().map(with_first_axis).collect();
        let latents = concat(rec, &rows.iter().collect::<Vec<_>>())?;
        permute(rec, &latents, &[3, 0, 1, 2], DType::F32)
    }

    /// Latents [z, T, H/u, W/u] to frames [F, H, W, 3].
    ///
    /// # Errors
    /// [`Error::Input`] where the shape is another.
    pub fn decode(&self, rec: &mut Recorder, latents: &Tensor) -> Result<Tensor> {
        let mut decoder = self.decoder();
        let mut frames = Vec::new();
        for latent in self.latent_frames(rec, latents)? {
            frames.push(decoder.next(rec, &latent)?);
        }
        concat(rec, &frames.iter().collect::<Vec<_>>())
    }

    /// Latents [z, T, H/u, W/u] as T frames of [H/u, W/u, z] for [`Decoder::next`].
    ///
    /// # Errors
    /// [`Error::Input`] where the shape is another.
    pub fn latent_frames(&self, rec: &mut Recorder, latents: &Tensor) -> Result<Vec<Tensor>> {
        let dims = Dims::new().check("latents", latents, &["C", "T", "H", "W"])?;
        if dims.get("C") != self.config.z_dim || latents.is_empty() {
            return Err(Error::Input(format!("latents: shape {:?}, expected [{}, T, H, W]", latents.shape(), self.config.z_dim)));
        }
        let latents = permute(rec, latents, &[1, 2, 3, 0], DType::F32)?;
        (0..dims.get("T")).map(|index| first_axis(rec, &latents, index)).collect()
    }
}

/// Entry `index` of the first axis, without that axis.
fn first_axis(rec: &mut Recorder, x: &Tensor, index: usize) -> Result<Tensor> {
    Ok(slice(rec, x, index, 1)?.reshape(&x.shape()[1..]))
}

fn with_first_axis(x: &Tensor) -> Tensor {
    let mut shape = vec![1];
    shape.extend(x.shape());
    x.reshape(&shape)
}
