//! `vae/config.json`.

use serde::Deserialize;

use crate::error::{Error, Result};

/// The sizes of a video autoencoder, under diffusers' names and with its defaults, which are those of Wan VAE 2.1.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Channels of the encoder at full resolution, before `dim_mult`.
    pub base_dim: usize,
    /// The same of the decoder; `base_dim` where null.
    pub decoder_base_dim: Option<usize>,
    /// Channels of latents.
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
    /// The blocks of VAE 2.2; not supported.
    pub is_residual: bool,
    /// Channels of frames.
    pub in_channels: usize,
    /// Channels of decoded frames.
    pub out_channels: usize,
    /// Pixels folded into channels; not supported.
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

impl Config {
    /// Refuses what this crate cannot run, naming the field.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a value that diffusers allows and this crate does not; [`Error::Input`] for one that fits no model.
    pub fn check(&self) -> Result<()> {
        let unsupported =
            [("is_residual", self.is_residual), ("patch_size", self.patch_size.is_some()), ("attn_scales", !self.attn_scales.is_empty())];
        if let Some((field, _)) = unsupported.into_iter().find(|&(_, set)| set) {
            return Err(Error::Unsupported(format!("vae config: this value of `{field}`; only VAE 2.1 can be run")));
        }
        self.check_sizes()?;
        self.check_lengths()?;
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
        1 << self.temperal_downsample.len().min(16)
    }
}
