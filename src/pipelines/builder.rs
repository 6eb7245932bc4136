//! From a checkpoint folder to a pipeline that makes videos.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::gpu::Device;
use crate::layers::Precision;
use crate::pipelines::experts::Expert;
use crate::pipelines::video::VideoPipeline;
use crate::weights::{Lora, Weights};

/// Says what to load and how. Made by [`AnimatePipeline::builder`](crate::AnimatePipeline::builder) and
/// [`VideoPipeline::builder`](crate::VideoPipeline::builder).
#[derive(Clone, Debug)]
#[must_use = "nothing is loaded before `build`"]
pub struct Builder<'a, P> {
    device: &'a Device,
    checkpoint: Option<PathBuf>,
    precision: Precision,
    loras: Loras,
    pipeline: PhantomData<fn() -> P>,
}

/// A pipeline that can be built.
pub trait Pipeline: Sized {
    #[doc(hidden)]
    fn load(device: &Device, checkpoint: &Path, precision: Precision, loras: &Loras) -> Result<Self>;
}

/// LoRAs, each for one of two experts or for all transformers.
#[derive(Clone, Debug, Default)]
pub struct Loras(Vec<(Option<Expert>, Lora)>);

impl Loras {
    /// Merges those for `expert`, or for the only transformer where that is none.
    pub(crate) fn merge(&self, weights: &mut Weights, expert: Option<Expert>) -> Result<()> {
        for (place, lora) in &self.0 {
            match (place, expert) {
                (Some(place), None) => {
                    return Err(Error::Input(format!("a LoRA for the {place}, where the checkpoint has one transformer: use `lora`")));
                }
                _ if place.is_none() || *place == expert => weights.add_lora(lora)?,
                _ => {}
            }
        }
        Ok(())
    }
}

impl<'a, P> Builder<'a, P> {
    pub(crate) fn new(device: &'a Device) -> Self {
        Self { device, checkpoint: None, precision: Precision::default(), loras: Loras::default(), pipeline: PhantomData }
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

    /// Merges a LoRA into the transformer, or into both experts. May be called several times: LoRAs add up.
    pub fn lora(mut self, lora: Lora) -> Self {
        self.loras.0.push((None, lora));
        self
    }
}

impl Builder<'_, VideoPipeline> {
    /// Merges a LoRA into one of two experts: those for few steps come as pairs of files. May be called several times.
    pub fn expert_lora(mut self, expert: Expert, lora: Lora) -> Self {
        self.loras.0.push((Some(expert), lora));
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
    /// is too small; [`Error::Input`] for a LoRA's weight out of range or one for an expert that is not there.
    pub fn build(self) -> Result<P> {
        let folder = self.checkpoint.ok_or_else(|| Error::Input("no checkpoint was given: set `checkpoint`".into()))?;
        P::load(self.device, &folder, self.precision, &self.loras)
    }
}
