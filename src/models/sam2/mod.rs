//! SAM 2 and 2.1: from points and boxes to the mask of an object in an image.
//!
//! An image passes through [`hiera`] and the [`neck`] once.

pub mod config;
pub mod hiera;
pub mod names;
pub mod neck;
pub mod positions;
pub mod spec;
pub mod window;

use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::Loader;
use crate::models::sam2::{config::Config, hiera::Hiera, neck::LEVELS, neck::Neck};

/// A SAM 2 model.
#[derive(Debug)]
pub struct Sam2 {
    config: Config,
    hiera: Hiera,
    neck: Neck,
}

impl Sam2 {
    /// Reads all tensors in their original names.
    ///
    /// # Errors
    /// Those of [`Config::check`], and [`Error::Weights`](crate::Error::Weights) where tensors and configuration disagree.
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        config.check()?;
        let encoder = loader.scope("image_encoder");
        Ok(Self {
            config: config.clone(),
            hiera: Hiera::load(&encoder.scope("trunk"), config)?,
            neck: Neck::load(&encoder.scope("neck"), config)?,
        })
    }

    /// The configuration it was loaded with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Hiera, for a look at its stages.
    pub fn hiera(&self) -> &Hiera {
        &self.hiera
    }

    /// A normalised image [S, S, 3] in f32 to its features [H * W, hidden], the finest first.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) where it is of another size.
    pub fn encode(&self, rec: &mut Recorder, pixels: &Tensor) -> Result<[Tensor; LEVELS]> {
        let stages = self.hiera.forward(rec, pixels)?;
        self.neck.forward(rec, &stages)
    }
}
