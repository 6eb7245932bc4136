//! From a checkpoint folder to a pipeline that makes videos.

use std::path::PathBuf;
use std::sync::Arc;

use image::RgbImage;

use crate::error::{Error, Result};
use crate::gpu::Device;
use crate::layers::Precision;
use crate::pipelines::parts::Parts;
use crate::pipelines::request::{AnimateRequest, Task};
use crate::video::{Motion, Scene};

/// A loaded Wan2.2-Animate. Dear to build; cheap to clone; shared and reused.
#[derive(Clone, Debug)]
pub struct AnimatePipeline {
    parts: Arc<Parts>,
}

/// Says what to load and how. Made by [`AnimatePipeline::builder`].
#[derive(Clone, Debug)]
#[must_use = "nothing is loaded before `build`"]
pub struct AnimateBuilder<'a> {
    device: &'a Device,
    checkpoint: Option<PathBuf>,
    precision: Precision,
}

impl<'a> AnimateBuilder<'a> {
    /// The checkpoint's folder in the layout of diffusers, with `model_index.json` in it.
    pub fn checkpoint(mut self, folder: impl Into<PathBuf>) -> Self {
        self.checkpoint = Some(folder.into());
        self
    }

    /// In which precision operands are stored. Default: [`Precision::F16`].
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Reads the configuration and loads the transformer and the VAE. The text encoder and CLIP stay on disk until a
    /// generation needs them, and leave the GPU again before it denoises.
    ///
    /// # Errors
    /// [`Error::Weights`] and [`Error::Io`] naming the file and the tensor that is missing, unknown, of the wrong shape or not
    /// finite; [`Error::Unsupported`] for a configuration that this crate cannot run; [`Error::Limits`] where the GPU's memory
    /// is too small.
    pub fn build(self) -> Result<AnimatePipeline> {
        let folder = self.checkpoint.ok_or_else(|| Error::Input("no checkpoint was given: set `checkpoint`".into()))?;
        Ok(AnimatePipeline { parts: Arc::new(Parts::load(self.device, &folder, self.precision)?) })
    }
}

impl AnimatePipeline {
    /// Starts describing what to load.
    pub fn builder(device: &Device) -> AnimateBuilder<'_> {
        AnimateBuilder { device, checkpoint: None, precision: Precision::default() }
    }

    /// The character of `reference` performs the motion. The reference may have any size; it is fitted into the result's on
    /// black, never cropped.
    pub fn animate<'a>(&'a self, reference: &'a RgbImage, motion: &'a Motion) -> AnimateRequest<'a> {
        AnimateRequest::new(self, reference, Task::Animate(motion))
    }

    /// The character of `reference` takes the place of the person in the scene.
    pub fn replace<'a>(&'a self, reference: &'a RgbImage, scene: &'a Scene) -> AnimateRequest<'a> {
        AnimateRequest::new(self, reference, Task::Replace(scene))
    }

    /// The device that it was built on.
    pub fn device(&self) -> &Device {
        &self.parts.device
    }

    pub(crate) fn parts(&self) -> &Arc<Parts> {
        &self.parts
    }
}
