//! From a checkpoint to a pipeline that makes videos.

use std::marker::PhantomData;
use std::path::PathBuf;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::gpu::Device;
use crate::layers::Precision;
use crate::pipelines::budget::MemoryBudget;
use crate::pipelines::experts::Expert;
use crate::pipelines::source::{Part, Source};
use crate::pipelines::video::VideoPipeline;
use crate::weights::{Lora, Weights};

/// Says what to load and how. Made by [`AnimatePipeline::builder`](crate::AnimatePipeline::builder) and
/// [`VideoPipeline::builder`](crate::VideoPipeline::builder).
#[derive(Clone, Debug)]
#[must_use = "nothing is loaded before `build`"]
pub struct Builder<'a, P> {
    device: &'a Device,
    source: Source,
    precision: Precision,
    loras: Loras,
    budget: MemoryBudget,
    pipeline: PhantomData<fn() -> P>,
}

/// A pipeline that can be built.
pub trait Pipeline: Sized {
    #[doc(hidden)]
    fn load(device: &Device, recipe: &Recipe) -> Result<Self>;
}

/// What a pipeline is built of.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub(crate) source: Source,
    pub(crate) precision: Precision,
    pub(crate) loras: Loras,
    /// Bytes; where there is none, all blocks are loaded at once.
    pub(crate) budget: Option<u64>,
}

/// LoRAs, each for one of two experts or for all transformers.
#[derive(Clone, Debug, Default)]
pub struct Loras(Vec<(Option<Expert>, Lora)>);

impl Loras {
    /// Of all of them, added to that of the transformers' weights. On a dry device, where no weight is read, of nothing.
    pub(crate) fn digest<'a>(&self, device: &Device, transformers: impl IntoIterator<Item = &'a Weights>) -> Digest {
        if device.rehearsal().is_some() {
            return Digest::new();
        }
        let loras = self.0.iter().map(|(place, lora)| format!("{place:?} {}", lora.digest()));
        let mut digest = Digest::new();
        let words = transformers.into_iter().map(|weights| weights.digest().to_string()).chain(loras);
        words.for_each(|words| digest.add(words.as_bytes()));
        digest
    }

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
        Self {
            device,
            source: Source::default(),
            precision: Precision::default(),
            loras: Loras::default(),
            budget: MemoryBudget::default(),
            pipeline: PhantomData,
        }
    }

    /// The checkpoint's folder: in the layout of diffusers, with `model_index.json` in it, or of the official release, whose files are told
    /// apart by what they hold.
    ///
    /// With a folder of diffusers, images are prepared as its pipelines do and the solver is its configuration's. With the official release,
    /// and with single files alone, the rules of the official code apply: the reference is fitted bilinearly, CLIP sees all of it, the
    /// solver is UniPC from a noise level of 0.999 with the official shift (5; 12 for T2V with two experts, 16 for a first and a last image).
    pub fn checkpoint(mut self, folder: impl Into<PathBuf>) -> Self {
        self.source.set_folder(folder.into());
        self
    }

    /// The transformer by itself, or the high-noise expert: a file of any format that checkpoints have, such as ComfyUI's or GGUF, or a
    /// folder. It comes before that of [`checkpoint`](Self::checkpoint), which may be left out where all parts are given.
    ///
    /// Its sizes are those of its tensors. What they do not tell is in a `config.json` beside it, of diffusers or of the official release, or
    /// else as published: heads of 128 channels, but for Animate's, which tells.
    pub fn transformer(self, path: impl Into<PathBuf>) -> Self {
        self.part(Part::Transformer, path)
    }

    /// The text encoder by itself, as for [`transformer`](Self::transformer). A vocabulary in it, as ComfyUI's files and GGUF have, is used
    /// unless a [`tokenizer`](Self::tokenizer) is given.
    pub fn text_encoder(self, path: impl Into<PathBuf>) -> Self {
        self.part(Part::TextEncoder, path)
    }

    /// The text encoder's `tokenizer.json` or `spiece.model`, or the folder with it.
    pub fn tokenizer(self, path: impl Into<PathBuf>) -> Self {
        self.part(Part::Tokenizer, path)
    }

    /// The autoencoder by itself, as for [`transformer`](Self::transformer).
    pub fn vae(self, path: impl Into<PathBuf>) -> Self {
        self.part(Part::Vae, path)
    }

    /// CLIP by itself, as for [`transformer`](Self::transformer). Heads of 80 channels, as in ViT-H, are assumed where no `config.json` lies
    /// beside it; of 64 where the width is no multiple of 80.
    pub fn image_encoder(self, path: impl Into<PathBuf>) -> Self {
        self.part(Part::ImageEncoder, path)
    }

    fn part(mut self, part: Part, path: impl Into<PathBuf>) -> Self {
        self.source.set(part, path.into());
        self
    }

    /// In which precision operands are stored. Default: [`Precision::F16`].
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// How much GPU memory the pipeline may take. Default: see [`MemoryBudget`].
    pub fn memory_budget(mut self, budget: MemoryBudget) -> Self {
        self.budget = budget;
        self
    }

    /// Merges a LoRA into the transformer, or into both experts. May be called several times: LoRAs add up.
    pub fn lora(mut self, lora: Lora) -> Self {
        self.loras.0.push((None, lora));
        self
    }
}

impl Builder<'_, VideoPipeline> {
    /// The low-noise expert by itself, as for [`transformer`](Self::transformer). It takes over at the noise level of the official
    /// release: 0.875 for text, 0.9 for an image.
    pub fn transformer_2(self, path: impl Into<PathBuf>) -> Self {
        self.part(Part::Transformer2, path)
    }

    /// Merges a LoRA into one of two experts: those for few steps come as pairs of files. May be called several times.
    pub fn expert_lora(mut self, expert: Expert, lora: Lora) -> Self {
        self.loras.0.push((Some(expert), lora));
        self
    }
}

impl<P: Pipeline> Builder<'_, P> {
    /// Reads the configuration and loads the transformer and the VAE. With a [memory budget](Self::memory_budget) the transformer's
    /// blocks stay on disk until a generation needs them, and as many of them on the GPU as the budget has room for. The text encoder and
    /// CLIP are in either case on the GPU block by block, while a generation begins.
    ///
    /// # Errors
    /// [`Error::Weights`] and [`Error::Io`] naming the file and the tensor that is missing, unknown, of the wrong shape or not
    /// finite; [`Error::Unsupported`] for a configuration that this crate cannot run; [`Error::Limits`] where the GPU's memory
    /// is too small; [`Error::Input`] for a LoRA's weight out of range or one for an expert that is not there.
    pub fn build(self) -> Result<P> {
        let budget = self.budget.on(self.device);
        P::load(self.device, &Recipe { source: self.source, precision: self.precision, loras: self.loras, budget })
    }
}
