//! The networks and settings of one checkpoint.

use std::fs;
use std::path::Path;

use image::RgbImage;

use crate::error::{Error, Result};
use crate::gpu::{Device, Recorder};
use crate::layers::{Loader, Precision};
use crate::models::dit::animate::Animate;
use crate::models::vae::Vae;
use crate::models::{clip, dit, umt5, vae};
use crate::schedulers::SchedulerConfig;
use crate::tensor::Tensor;
use crate::tokenizer::{Tokenizer, clean};
use crate::video::clip_image::{ClipImageConfig, clip_image};
use crate::weights::Weights;
use crate::weights::config::{ModelIndex, read_json};

/// What a pipeline holds. The text encoder and CLIP are opened, not loaded: they work once a generation.
#[derive(Debug)]
pub struct Parts {
    pub(crate) device: Device,
    pub(crate) scheduler: SchedulerConfig,
    pub(crate) transformer: Animate,
    pub(crate) vae: Vae,
    precision: Precision,
    tokenizer: Tokenizer,
    text_encoder: (Weights, umt5::config::Config),
    image_encoder: (Weights, clip::config::Config),
    image_processor: ClipImageConfig,
}

const PIPELINE: &str = "WanAnimatePipeline";

impl Parts {
    /// Opens the diffusers layout. Everything that can be wrong without reading weights is looked at first.
    pub fn load(device: &Device, folder: &Path, precision: Precision) -> Result<Self> {
        check_layout(folder)?;
        let scheduler = SchedulerConfig::open(&folder.join("scheduler/scheduler_config.json"))?;
        let processor = folder.join("image_processor/preprocessor_config.json");
        let image_processor = ClipImageConfig::from_json(&processor, &fs::read(&processor).map_err(Error::io(&processor))?)?;
        let (transformer, dit_config) = open::<dit::config::Config>(folder, "transformer")?;
        let (autoencoder, vae_config) = open::<vae::config::Config>(folder, "vae")?;
        let text_encoder = open::<umt5::config::Config>(folder, "text_encoder")?;
        let image_encoder = open::<clip::config::Config>(folder, "image_encoder")?;
        check_agreement(folder, &dit_config, &vae_config)?;
        let tokenizer = Tokenizer::open(folder.join("tokenizer"))?;

        let vae = Vae::load(&Loader::new(device, &autoencoder, precision), &vae_config)?;
        autoencoder.finish()?;
        let animate = Animate::load(&Loader::new(device, &transformer, precision), &dit_config)?;
        transformer.finish()?;
        Ok(Self {
            device: device.clone(),
            scheduler,
            transformer: animate,
            vae,
            precision,
            tokenizer,
            text_encoder,
            image_encoder,
            image_processor,
        })
    }

    /// Embeddings [512, text_dim] of each prompt. The encoder is on the GPU only meanwhile.
    pub fn text_embeddings(&self, rec: &mut Recorder, prompts: &[&str]) -> Result<Vec<Tensor>> {
        let (weights, config) = &self.text_encoder;
        let encoder = umt5::Encoder::load(&Loader::new(&self.device, weights, self.precision), config)?;
        weights.finish()?;
        let embeddings = prompts.iter().map(|prompt| {
            let ids = self.tokenizer.encode(&clean(prompt), umt5::MAX_TOKENS);
            let embeddings = encoder.forward(rec, &ids)?;
            umt5::pad(rec, &embeddings)
        });
        let embeddings = embeddings.collect::<Result<_>>()?;
        rec.finish()?;
        Ok(embeddings)
    }

    /// CLIP's embeddings [tokens, image_dim] of the reference. The encoder is on the GPU only meanwhile.
    pub fn image_embeddings(&self, rec: &mut Recorder, reference: &RgbImage) -> Result<Tensor> {
        let (weights, config) = &self.image_encoder;
        let size = config.image_size;
        let pixels = clip_image(reference, &self.image_processor, size as u32)?;
        let pixels = rec.upload(&[3, size, size], &pixels)?;
        let encoder = clip::VisionModel::load(&Loader::new(&self.device, weights, self.precision), config)?;
        weights.finish()?;
        let embeddings = encoder.forward(rec, &pixels)?;
        rec.finish()?;
        Ok(embeddings)
    }
}

fn check_layout(folder: &Path) -> Result<()> {
    if !folder.is_dir() {
        return Err(Error::weights(folder, "there is no such folder; a checkpoint in the layout of diffusers is expected"));
    }
    let index = ModelIndex::open(folder)?;
    match index.class_name.as_str() {
        PIPELINE => Ok(()),
        other => Err(Error::weights(folder, format!("`model_index.json` says {other}; this pipeline runs {PIPELINE}"))),
    }
}

fn open<C: serde::de::DeserializeOwned>(folder: &Path, part: &str) -> Result<(Weights, C)> {
    let folder = folder.join(part);
    let config = read_json(&folder.join("config.json"))?;
    Ok((Weights::open(&folder)?, config))
}

/// The VAE's latents must be the transformer's.
fn check_agreement(folder: &Path, dit: &dit::config::Config, vae: &vae::config::Config) -> Result<()> {
    let channels = dit.latent_channels()?;
    if vae.z_dim != channels || dit.out_channels()? != channels || dit.in_channels()? != 2 * channels + 4 {
        let message = format!(
            "the VAE has {} latent channels, the transformer takes {} and gives {}; expected z, 2 z + 4 and z",
            vae.z_dim,
            dit.in_channels()?,
            dit.out_channels()?
        );
        return Err(Error::weights(folder, message));
    }
    if vae.frames_per_latent() != 4 || vae.pixels_per_latent() != 8 || dit.patch_size != [1, 2, 2] {
        return Err(Error::Unsupported(format!(
            "a VAE of {}x{}x{} with patches of {:?}; Animate needs 4x8x8 and [1, 2, 2]",
            vae.frames_per_latent(),
            vae.pixels_per_latent(),
            vae.pixels_per_latent(),
            dit.patch_size
        )));
    }
    Ok(())
}
