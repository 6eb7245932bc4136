//! Sizes, which the tensors tell.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Levels, each twice as wide and high as the one before.
pub const LEVELS: usize = 3;

/// See the module. No file of such a model lies beside a `config.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Channels of latents: 16 for VAE 2.1, 48 for VAE 2.2.
    pub latent_channels: usize,
    /// Channels of the levels' blocks, and of what the last convolution takes.
    pub widths: [usize; LEVELS + 1],
    /// Frames that a level makes of one: 1, 2 and 2.
    pub frames: [usize; LEVELS],
    /// Pixels on a side of a patch: 1, with VAE 2.2 2.
    pub patch: usize,
}

impl Config {
    /// What is wrong with it.
    pub fn check(&self) -> Result<()> {
        let counts = self.widths.iter().chain(&self.frames).chain([&self.latent_channels, &self.patch]);
        match counts.into_iter().all(|&count| count > 0) {
            true => Ok(()),
            false => Err(Error::Unsupported(format!("a tiny decoder of these sizes: {self:?}"))),
        }
    }

    /// Frames that a latent frame stands for.
    pub fn frames_per_latent(&self) -> usize {
        self.frames.iter().product()
    }

    /// Pixels on a side that a latent pixel stands for.
    pub fn pixels_per_latent(&self) -> usize {
        self.patch << LEVELS
    }
}
