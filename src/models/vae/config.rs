//! `vae/config.json`.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ops::shortcut::PixelBlock;

/// The sizes of a video autoencoder, under diffusers' names and with its defaults, which are those of Wan VAE 2.1.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default)]
pub struct Config {
    /// Channels of the encoder at full resolution, before `dim_mult`.
    pub base_dim: usize,
    /// The same of the decoder; `base_dim` where null.
    pub decoder_base_dim: Option<usize>,
    pub z_dim: usize,
    /// Channels by level of resolution, from the full one down, as multiples of the base.
    pub dim_mult: Vec<usize>,
    /// Residual blocks of an encoder level; a decoder level has one more.
    pub num_res_blocks: usize,
    /// Resolutions with attention; not supported, it is in the middle alone.
    pub attn_scales: Vec<f64>,
    /// By step from level to level, whether it halves the frames too. The spelling is the checkpoint's.
    pub temperal_downsample: Vec<bool>,
    /// By channel, what is subtracted from the encoder's latents.
    pub latents_mean: Vec<f64>,
    /// By channel, what they are then divided by.
    pub latents_std: Vec<f64>,
    /// VAE 2.2: levels have shortcuts past them.
    pub is_residual: bool,
    /// Channels of frames, once patches are folded into them.
    pub in_channels: usize,
    /// Channels of decoded frames, before patches are unfolded.
    pub out_channels: usize,
    /// Height and width of the patches of pixels that are folded into channels; 1 where null. 2 in VAE 2.2.
    pub patch_size: Option<usize>,
    /// Pixel frames to a latent frame, but for the first.
    pub scale_factor_temporal: Option<usize>,
    /// Pixels to a latent pixel, in height and in width.
    pub scale_factor_spatial: Option<usize>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            base_dim: 96,
            decoder_base_dim: None,
            z_dim: 16,
            dim_mult: vec![1, 2, 4, 4],
            num_res_blocks: 2,
            attn_scales: vec![],
            temperal_downsample: vec![false, true, true],
            latents_mean: vec![
                -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497,
                0.2503, -0.2921,
            ],
            latents_std: vec![
                2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251,
                1.9160,
            ],
            is_residual: false,
            in_channels: 3,
            out_channels: 3,
            patch_size: None,
            scale_factor_temporal: Some(4),
            scale_factor_spatial: Some(8),
        }
    }
}

/// One level of resolution of an encoder or a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Channels that it takes.
    pub inputs: usize,
    /// Channels of its residual blocks.
    pub outputs: usize,
    /// The step to the next level, if there is one; whether it changes the number of frames too.
    pub step: Option<bool>,
}

impl Level {
    /// The pixels of the higher resolution that answer to one of the lower.
    pub fn block(self) -> PixelBlock {
        PixelBlock { time: if self.step == Some(true) { 2 } else { 1 }, space: if self.step.is_some() { 2 } else { 1 } }
    }
}

impl Config {
    /// Refuses what this crate cannot run, naming the field.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a value that diffusers allows and this crate does not; [`Error::Input`] for one that fits no model.
    pub fn check(&self) -> Result<()> {
        if !self.attn_scales.is_empty() {
            return Err(Error::Unsupported("vae config: `attn_scales`; attention is in the middle alone".into()));
        }
        self.check_sizes()?;
        self.check_lengths()?;
        self.check_shares()?;
        if self.latents_std.contains(&0.0) {
            return Err(Error::Input("vae config: `latents_std` has a zero, which nothing can be divided by".into()));
        }
        let factors = [
            ("scale_factor_temporal", self.scale_factor_temporal, self.frames_per_latent()),
            ("scale_factor_spatial", self.scale_factor_spatial, self.pixels_per_latent()),
        ];
        match factors.into_iter().find(|&(_, factor, actual)| factor.is_some_and(|factor| factor != actual)) {
            Some((field, _, actual)) => Err(Error::Input(format!("vae config: `{field}` is not {actual}, which the levels make"))),
            None => Ok(()),
        }
    }

    fn check_sizes(&self) -> Result<()> {
        let sizes = [
            ("base_dim", self.base_dim),
            ("decoder_base_dim", self.decoder_dim()),
            ("z_dim", self.z_dim),
            ("num_res_blocks", self.num_res_blocks),
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("patch_size", self.patch()),
        ];
        let multiples = self.dim_mult.iter().map(|&multiple| ("dim_mult", multiple));
        if let Some((field, size)) = sizes.into_iter().chain(multiples).find(|&(_, size)| size == 0 || size > 1 << 16) {
            return Err(Error::Input(format!("vae config: `{field}` is {size}")));
        }
        Ok(())
    }

    fn check_lengths(&self) -> Result<()> {
        let lengths = [
            // Each step doubles sizes: more than a few of them are no model.
            ("dim_mult", self.dim_mult.len(), self.dim_mult.len().clamp(1, 8)),
            ("temperal_downsample", self.temperal_downsample.len(), self.dim_mult.len().saturating_sub(1)),
            ("latents_mean", self.latents_mean.len(), self.z_dim),
            ("latents_std", self.latents_std.len(), self.z_dim),
        ];
        match lengths.into_iter().find(|&(_, length, expected)| length != expected) {
            Some((field, length, expected)) => {
                Err(Error::Input(format!("vae config: `{field}` has {length} entries, expected {expected}")))
            }
            None => Ok(()),
        }
    }

    /// Whether patches and shortcuts find whole numbers of channels.
    fn check_shares(&self) -> Result<()> {
        let patch = self.patch() * self.patch();
        for (field, channels) in [("in_channels", self.in_channels), ("out_channels", self.out_channels)] {
            if channels % patch != 0 {
                return Err(Error::Input(format!("vae config: `{field}` is {channels}, no multiple of the {patch} pixels of a patch")));
            }
            if channels / patch == 12 {
                let what = "a decoder of frames twice as high and wide (upscale 2x), which is not supported; take the VAE that this one was made of";
                return Err(Error::Unsupported(format!("vae config: `{field}` is {channels}: {what}")));
            }
        }
        let down = self.encoder_levels().into_iter().map(|level| (level.outputs, level.inputs, level.block()));
        let up = self.decoder_levels().into_iter().filter(|level| level.step.is_some());
        let mut shortcuts = down.chain(up.map(|level| (level.inputs, level.outputs, level.block()))).filter(|_| self.is_residual);
        match shortcuts.find(|(low, high, block)| block.share(*low, *high).is_none()) {
            Some((low, high, block)) => Err(Error::Input(format!(
                "vae config: `dim_mult` has a shortcut between {low} channels and {} pixels of {high}, which do not share out evenly",
                block.pixels()
            ))),
            None => Ok(()),
        }
    }

    /// The levels of the encoder, from the full resolution down.
    pub fn encoder_levels(&self) -> Vec<Level> {
        let outputs = self.dim_mult.iter().map(|multiple| self.base_dim * multiple);
        let inputs = std::iter::once(self.base_dim).chain(outputs.clone());
        let steps = self.temperal_downsample.iter().copied().map(Some).chain(std::iter::once(None));
        inputs.zip(outputs).zip(steps).map(|((inputs, outputs), step)| Level { inputs, outputs, step }).collect()
    }

    /// The levels of the decoder, up to the full resolution.
    pub fn decoder_levels(&self) -> Vec<Level> {
        let outputs = self.dim_mult.iter().rev().map(|multiple| self.decoder_dim() * multiple);
        // The upsamplers of VAE 2.1 halve the channels.
        let later = outputs.clone().map(|outputs| if self.is_residual { outputs } else { outputs / 2 });
        let inputs = outputs.clone().take(1).chain(later);
        let steps = self.temperal_downsample.iter().rev().copied().map(Some).chain(std::iter::once(None));
        inputs.zip(outputs).zip(steps).map(|((inputs, outputs), step)| Level { inputs, outputs, step }).collect()
    }

    /// Height and width of a patch.
    pub fn patch(&self) -> usize {
        self.patch_size.unwrap_or(1)
    }

    /// Channels of the decoder at full resolution, before `dim_mult`.
    pub fn decoder_dim(&self) -> usize {
        self.decoder_base_dim.unwrap_or(self.base_dim)
    }

    /// Pixel frames to a latent frame, but for the first, which stands for one.
    pub fn frames_per_latent(&self) -> usize {
        1 << self.temperal_downsample.iter().filter(|&&halves| halves).count().min(16)
    }

    /// Pixels to a latent pixel, in height and in width.
    pub fn pixels_per_latent(&self) -> usize {
        self.patch() << self.temperal_downsample.len().min(16)
    }
}
