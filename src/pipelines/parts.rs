//! The networks and settings of one checkpoint.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::RgbImage;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::gpu::{Device, Recorder};
use crate::layers::{Loader, Precision};
use crate::models::vae::Vae;
use crate::models::{clip, umt5, vae};
use crate::ops::copy::concat;
use crate::schedulers::SchedulerConfig;
use crate::tensor::Tensor;
use crate::tokenizer::{Tokenizer, clean};
use crate::video::clip_image::{ClipImageConfig, clip_image};
use crate::weights::Weights;
use crate::weights::config::{ModelIndex, read_json};

/// Which pipeline, and which example, runs a class of `model_index.json`.
const CLASSES: [(&str, &str); 3] = [
    ("WanAnimatePipeline", "`AnimatePipeline` (examples `animate` and `replace`)"),
    ("WanPipeline", "`VideoPipeline` (examples `t2v` and `ti2v`)"),
    ("WanImageToVideoPipeline", "`VideoPipeline` (example `i2v`)"),
];

/// A checkpoint's folder in the layout of diffusers.
pub(crate) struct Checkpoint {
    folder: PathBuf,
    pub index: ModelIndex,
}

impl Checkpoint {
    /// Opens a folder that holds a pipeline of one of these classes.
    pub fn open(folder: &Path, classes: &[&str]) -> Result<Self> {
        if !folder.is_dir() {
            return Err(Error::weights(folder, "there is no such folder; a checkpoint in the layout of diffusers is expected"));
        }
        let index = ModelIndex::open(folder)?;
        let class = index.class_name.as_str();
        if classes.contains(&class) {
            return Ok(Self { folder: folder.into(), index });
        }
        let advice = CLASSES.iter().find(|(name, _)| *name == class).map_or_else(String::new, |(_, right)| format!(": use {right}"));
        let message = format!("`model_index.json` says {class}, this pipeline runs {}{advice}", classes.join(" and "));
        Err(Error::weights(folder, message))
    }

    /// A component's weights, opened, and its configuration.
    pub fn component<C: DeserializeOwned>(&self, name: &str) -> Result<(Weights, C)> {
        let folder = self.folder.join(name);
        let config = read_json(&folder.join("config.json"))?;
        Ok((Weights::open(&folder)?, config))
    }

    /// Opens all but the transformers. Everything that can be wrong without reading weights is looked at here.
    pub fn open_parts(&self, with_clip: bool) -> Result<Files> {
        let scheduler = SchedulerConfig::open(&self.folder.join("scheduler/scheduler_config.json"))?;
        let image_encoder = with_clip.then(|| self.open_clip()).transpose()?;
        let vae = self.component::<vae::config::Config>("vae")?;
        let (weights, config) = self.component::<umt5::config::Config>("text_encoder")?;
        let text_encoder = (Arc::new(weights), config);
        let tokenizer = Tokenizer::open(self.folder.join("tokenizer"))?;
        Ok(Files { scheduler, vae, encoders: Encoders { tokenizer, text_encoder, image_encoder } })
    }

    fn open_clip(&self) -> Result<ImageEncoder> {
        let file = self.folder.join("image_processor/preprocessor_config.json");
        let processor = ClipImageConfig::from_json(&file, &fs::read(&file).map_err(Error::io(&file))?)?;
        let (weights, config) = self.component("image_encoder")?;
        Ok(ImageEncoder { weights: Arc::new(weights), config, processor })
    }

    /// What is wrong with the checkpoint as a whole.
    pub fn error(&self, message: impl Into<String>) -> Error {
        Error::weights(&self.folder, message)
    }
}

/// What every checkpoint has beside its transformers, opened, not loaded.
pub(crate) struct Files {
    pub scheduler: SchedulerConfig,
    pub vae: (Weights, vae::config::Config),
    encoders: Encoders,
}

impl Files {
    /// Loads the VAE, then the transformers.
    pub fn load<T>(self, device: &Device, precision: Precision, transformer: impl FnOnce() -> Result<T>) -> Result<Parts<T>> {
        let Self { scheduler, vae: (weights, config), encoders } = self;
        let vae = Vae::load(&Loader::new(device, &weights, precision), &config)?;
        weights.finish()?;
        Ok(Parts { device: device.clone(), precision, scheduler, vae, transformer: transformer()?, encoders })
    }
}

/// What a pipeline holds; `T` is its transformer or transformers. The text encoder and CLIP are opened, not loaded: they work once
/// a generation.
#[derive(Debug)]
pub(crate) struct Parts<T> {
    pub device: Device,
    pub scheduler: SchedulerConfig,
    pub transformer: T,
    pub vae: Vae,
    pub precision: Precision,
    encoders: Encoders,
}

#[derive(Debug)]
struct Encoders {
    tokenizer: Tokenizer,
    text_encoder: (Arc<Weights>, umt5::config::Config),
    image_encoder: Option<ImageEncoder>,
}

#[derive(Debug)]
struct ImageEncoder {
    weights: Arc<Weights>,
    config: clip::config::Config,
    processor: ClipImageConfig,
}

impl<T> Parts<T> {
    /// Embeddings [512, text_dim] of each prompt. The encoder is on the GPU only meanwhile, block by block.
    pub fn text_embeddings(&self, rec: &mut Recorder, prompts: &[String]) -> Result<Vec<Tensor>> {
        let (weights, config) = &self.encoders.text_encoder;
        let device = rec.device().clone();
        let encoder = umt5::Encoder::open(&device, weights, self.precision, config)?;
        let ids: Vec<_> = prompts.iter().map(|prompt| self.encoders.tokenizer.encode(&clean(prompt), umt5::MAX_TOKENS)).collect();
        let embeddings = encoder.forward_all(rec, &ids)?;
        weights.finish()?;
        let embeddings = embeddings.iter().map(|embeddings| umt5::pad(rec, embeddings)).collect::<Result<_>>()?;
        rec.finish()?;
        Ok(embeddings)
    }

    /// CLIP's embeddings [tokens, image_dim] of the images, one after another; none where the checkpoint has no CLIP. The encoder
    /// is on the GPU only meanwhile.
    pub fn image_embeddings(&self, rec: &mut Recorder, images: &[&RgbImage]) -> Result<Option<Tensor>> {
        let Some(ImageEncoder { weights, config, processor }) = &self.encoders.image_encoder else { return Ok(None) };
        let device = rec.device().clone();
        let encoder = clip::VisionModel::open(&device, weights, self.precision, config)?;
        let size = config.image_size;
        let embeddings = images.iter().map(|image| {
            let pixels = rec.upload_with(&[3, size, size], || clip_image(image, processor, size as u32))?;
            encoder.forward(rec, &pixels)
        });
        let embeddings = embeddings.collect::<Result<Vec<_>>>()?;
        weights.finish()?;
        let embeddings = concat(rec, &embeddings.iter().collect::<Vec<_>>())?;
        rec.finish()?;
        Ok(Some(embeddings))
    }
}
