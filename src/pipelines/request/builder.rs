//! From a checkpoint to a pipeline that makes videos.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use web_time::Instant;

use crate::cancel::Cancel;
use crate::error::Result;
use crate::gpu::Device;
use crate::layers::Precision;
use crate::location::Location;
use crate::pipelines::checkpoint::{expert::Expert, recipe::Recipe, source::Part, variant::Animate2Variant};
use crate::pipelines::request::pipeline::Pipeline;
use crate::pipelines::run::budget::MemoryBudget;
use crate::weights::Lora;

/// Says what to load and how. Made by [`AnimatePipeline::builder`](crate::AnimatePipeline::builder) and
/// [`VideoPipeline::builder`](crate::VideoPipeline::builder).
#[derive(Clone, Debug)]
#[must_use = "nothing is loaded before `build`"]
pub struct Builder<'a, P> {
    device: &'a Device,
    /// All but the budget.
    recipe: Recipe,
    budget: MemoryBudget,
    told: Option<Told>,
    pipeline: PhantomData<fn() -> P>,
}

/// How far loading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loading {
    /// Bytes of weights that are on the GPU.
    pub loaded: u64,
    /// How many there will be once the pipeline is built.
    pub total: u64,
}

#[derive(Clone)]
struct Told(Arc<dyn Fn(Loading) + Send + Sync>);

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Told")
    }
}

impl<'a, P> Builder<'a, P> {
    pub(crate) fn new(device: &'a Device) -> Self {
        Self { device, recipe: Recipe::default(), budget: MemoryBudget::default(), told: None, pipeline: PhantomData }
    }

    /// The checkpoint's folder: in the layout of diffusers, with `model_index.json` in it, or of the official release, whose files are told
    /// apart by what they hold.
    ///
    /// With a folder of diffusers, images are prepared as its pipelines do and the solver is its configuration's. With the official release,
    /// and with single files alone, the rules of the official code apply: the reference is fitted bilinearly, CLIP sees all of it, the
    /// solver is UniPC from a noise level of 0.999 with the official shift (5; 12 for T2V with two experts, 16 for a first and a last image).
    pub fn checkpoint(mut self, folder: impl Into<Location>) -> Self {
        self.recipe.source.set_folder(folder.into());
        self
    }

    /// The transformer by itself, or the high-noise expert: a file of any format that checkpoints have, such as ComfyUI's or GGUF, or a
    /// folder. It comes before that of [`checkpoint`](Self::checkpoint), which may be left out where all parts are given.
    ///
    /// Its sizes are those of its tensors. What they do not tell is in a `config.json` beside it, of diffusers or of the official release, or
    /// else as published: heads of 128 channels, but for Animate's, which tells.
    pub fn transformer(self, file: impl Into<Location>) -> Self {
        self.part(Part::Transformer, file)
    }

    /// The text encoder by itself, as for [`transformer`](Self::transformer). A vocabulary in it, as ComfyUI's files and GGUF have, is used
    /// unless a [`tokenizer`](Self::tokenizer) is given.
    pub fn text_encoder(self, file: impl Into<Location>) -> Self {
        self.part(Part::TextEncoder, file)
    }

    /// The text encoder's `tokenizer.json` or `spiece.model`, or the folder with it.
    pub fn tokenizer(self, file: impl Into<Location>) -> Self {
        self.part(Part::Tokenizer, file)
    }

    /// The autoencoder by itself, as for [`transformer`](Self::transformer).
    pub fn vae(self, file: impl Into<Location>) -> Self {
        self.part(Part::Vae, file)
    }

    /// CLIP by itself, as for [`transformer`](Self::transformer). Heads of 80 channels, as in ViT-H, are assumed where no `config.json` lies
    /// beside it; of 64 where the width is no multiple of 80.
    pub fn image_encoder(self, file: impl Into<Location>) -> Self {
        self.part(Part::ImageEncoder, file)
    }

    /// A tiny decoder for [previews](crate::Request::previews), which are then pictures of the full size: `taew2_1` with VAE 2.1, `taew2_2` with
    /// VAE 2.2, both from github.com/madebyollin/taehv, or LightX2V's `lighttaew2_1`. Default: previews are small, of weighted sums of the latents.
    pub fn preview_decoder(self, file: impl Into<Location>) -> Self {
        self.part(Part::PreviewDecoder, file)
    }

    /// A tiny decoder, as for [`preview_decoder`](Self::preview_decoder), in place of the VAE's: frames are drafts, in a twentieth of the time,
    /// with faults in faces and fine detail. Each generation tells that by an [`Event::Warning`](crate::Event::Warning). Default: frames are the
    /// VAE's.
    pub fn draft_decoder(self, file: impl Into<Location>) -> Self {
        self.part(Part::DraftDecoder, file)
    }

    pub(crate) fn part(mut self, part: Part, file: impl Into<Location>) -> Self {
        self.recipe.source.set(part, file.into());
        self
    }

    /// In which precision operands are stored. Default: [`Precision::F16`].
    pub fn precision(mut self, precision: Precision) -> Self {
        self.recipe.precision = precision;
        self
    }

    /// How much GPU memory a generation may take, where its request does not say. Default: see [`MemoryBudget`].
    pub fn memory_budget(mut self, budget: MemoryBudget) -> Self {
        self.budget = budget;
        self
    }

    /// Merges a LoRA into the transformer, or into both experts. May be called several times: LoRAs add up.
    pub fn lora(self, lora: Lora) -> Self {
        self.lora_for(None, lora)
    }

    /// Is told, in the thread that builds, how far loading has come: as a rule after every 4 MiB, and at the end. Default: nobody is.
    pub fn on_progress(mut self, told: impl Fn(Loading) + Send + Sync + 'static) -> Self {
        self.told = Some(Told(Arc::new(told)));
        self
    }

    /// A flag that stops [`build`](Self::build) soon after it is set, as a rule within the time that 4 MiB take: it then fails with
    /// [`Error::Cancelled`](crate::Error::Cancelled). Requests have [their own](crate::Request::cancel).
    pub fn cancel(mut self, cancel: Cancel) -> Self {
        self.recipe.watch.cancel = cancel;
        self
    }

    pub(crate) fn set_variant(&mut self, variant: Animate2Variant) {
        self.recipe.variant = Some(variant);
    }

    pub(crate) fn lora_for(mut self, expert: Option<Expert>, lora: Lora) -> Self {
        self.recipe.loras.0.push((expert, lora));
        self
    }
}

impl<P: Pipeline> Builder<'_, P> {
    /// Reads the configuration and loads the transformer and the VAE. With a [memory budget](Self::memory_budget) the transformer's
    /// blocks stay on disk until a generation needs them, and as many of them on the GPU as the budget has room for. The text encoder and
    /// CLIP are in either case on the GPU block by block, while a generation begins.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::Error::Weights) and [`Error::Io`](crate::Error::Io) naming the file and the tensor that is missing, unknown,
    /// of the wrong shape or not finite; [`Error::Unsupported`](crate::Error::Unsupported) for a configuration that this crate cannot run, and
    /// for [`Precision::Int8`] on an adapter that does not multiply four bytes at once;
    /// [`Error::Limits`](crate::Error::Limits) where the GPU's memory is too small; [`Error::Input`](crate::Error::Input) for a LoRA's weight
    /// out of range or one for an expert that is not there; [`Error::Cancelled`](crate::Error::Cancelled) where the flag is set.
    pub fn build(self) -> Result<P> {
        self.recipe.precision.check(self.device)?;
        let begun = Instant::now();
        let mut recipe = Recipe { budget: self.budget.on(self.device)?, ..self.recipe };
        if let Some(told) = self.told {
            let total = total::<P>(self.device, &recipe)?;
            let loaded = AtomicU64::new(0);
            recipe.watch.told = Some(Arc::new(move |bytes| {
                let loaded = loaded.fetch_add(bytes, Ordering::Relaxed) + bytes;
                told.0(Loading { loaded, total });
            }));
        }
        let pipeline = P::load(self.device, &recipe)?;
        let gib = self.device.memory_use().current as f64 / f64::from(1 << 30);
        let (path, seconds) = (recipe.source.path().display(), begun.elapsed().as_secs_f64());
        log::info!("loaded {path} in {seconds:.2} s; {gib:.3} GiB on the GPU");
        Ok(pipeline)
    }
}

/// Bytes of weights that building a pipeline brings to the GPU.
fn total<P: Pipeline>(device: &Device, recipe: &Recipe) -> Result<u64> {
    let dry = device.dry(device.limits().clone());
    let total = Arc::new(AtomicU64::new(0));
    let sum = total.clone();
    let mut recipe = recipe.for_plan();
    recipe.watch.told = Some(Arc::new(move |bytes| {
        sum.fetch_add(bytes, Ordering::Relaxed);
    }));
    P::load(&dry, &recipe)?;
    Ok(total.load(Ordering::Relaxed))
}
