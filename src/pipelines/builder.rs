//! From a checkpoint folder to a pipeline that makes videos.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::gpu::Device;
use crate::layers::Precision;

/// Says what to load and how. Made by [`AnimatePipeline::builder`](crate::AnimatePipeline::builder) and
/// [`VideoPipeline::builder`](crate::VideoPipeline::builder).
#[derive(Clone, Debug)]
#[must_use = "nothing is loaded before `build`"]
pub struct Builder<'a, P> {
    device: &'a Device,
    checkpoint: Option<PathBuf>,
    precision: Precision,
    pipeline: PhantomData<fn() -> P>,
}

/// A pipeline that can be built.
pub trait Pipeline: Sized {
    #[doc(hidden)]
    fn load(device: &Device, checkpoint: &Path, precision: Precision) -> Result<Self>;
}

impl<'a, P> Builder<'a, P> {
    pub(crate) fn new(device: &'a Device) -> Self {
        Self { device, checkpoint: None, precision: Precision::default(), pipeline: PhantomData }
    }

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
}

impl<P: Pipeline> Builder<'_, P> {
    /// Reads the configuration and loads the transformer and the VAE. The text encoder and CLIP stay on disk until a
    /// generation needs them, and leave the GPU again before it denoises.
    ///
    /// # Errors
    /// [`Error::Weights`] and [`Error::Io`] naming the file and the tensor that is missing, unknown, of the wrong shape or not
    /// finite; [`Error::Unsupported`] for a configuration that this crate cannot run; [`Error::Limits`] where the GPU's memory
    /// is too small.
    pub fn build(self) -> Result<P> {
        let folder = self.checkpoint.ok_or_else(|| Error::Input("no checkpoint was given: set `checkpoint`".into()))?;
        P::load(self.device, &folder, self.precision)
    }
}
