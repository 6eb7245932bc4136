//! The networks and settings of one checkpoint.

use std::sync::Arc;

use image::RgbImage;

use crate::digest::Digest;
use crate::error::Result;
use crate::gpu::{Device, Recorder, Tensor};
use crate::layers::{Loader, Precision};
use crate::models::vae::Vae;
use crate::models::{clip, taehv, taehv::TinyDecoder, umt5, vae};
use crate::ops::copy::concat;
use crate::pipelines::checkpoint::{recipe::Recipe, rules::Rules, texts::Texts};
use crate::schedulers::SchedulerConfig;
use crate::tokenizer::{Tokenizer, clean};
use crate::video::{clip_image::ClipImageConfig, clip_image::clip_image, official};
use crate::weights::Weights;

/// What every checkpoint has beside its transformers, opened, not loaded.
pub(crate) struct Files {
    pub scheduler: SchedulerConfig,
    pub rules: Rules,
    pub vae: (Weights, vae::config::Config),
    pub preview_decoder: Option<(Weights, taehv::config::Config)>,
    pub draft_decoder: Option<(Weights, taehv::config::Config)>,
    pub encoders: Encoders,
}

impl Files {
    /// Loads the VAE, then the transformers, of which a digest tells checkpoints apart.
    pub fn load<T>(
        self,
        device: &Device,
        recipe: &Recipe,
        transformers: Digest,
        transformer: impl FnOnce() -> Result<T>,
    ) -> Result<Parts<T>> {
        let Self { scheduler, rules, vae: (weights, config), preview_decoder, draft_decoder, encoders } = self;
        let Recipe { precision, budget, .. } = *recipe;
        let vae = Vae::load(&Loader::new(&recipe.sink(device), &weights, precision), &config)?;
        weights.finish()?;
        let tiny = |opened: &Option<(Weights, taehv::config::Config)>| {
            let load = |(weights, config): &(Weights, _)| TinyDecoder::load(&Loader::new(&recipe.sink(device), weights, precision), config);
            let loaded = opened.as_ref().map(load).transpose()?;
            opened.iter().try_for_each(|(weights, _)| weights.finish())?;
            Result::Ok(loaded)
        };
        let decoders = Decoders { preview: tiny(&preview_decoder)?, draft: tiny(&draft_decoder)? };
        // Previews change no frame.
        let others = [
            Some(&weights),
            Some(&*encoders.text_encoder.0),
            encoders.image_encoder.as_ref().map(|encoder| &*encoder.weights),
            draft_decoder.as_ref().map(|(weights, _)| weights),
        ];
        let mut digest = transformers;
        let others = others.into_iter().flatten().filter(|_| device.rehearsal().is_none());
        for weights in others {
            digest.add(weights.digest()?.to_string().as_bytes());
        }
        Ok(Parts {
            device: device.clone(),
            precision,
            budget,
            digest,
            scheduler,
            rules,
            vae,
            decoders,
            transformer: transformer()?,
            encoders,
            texts: Texts::default(),
        })
    }
}

/// What a pipeline holds; `T` is its transformer or transformers. The text encoder and CLIP are opened, not loaded: they work once
/// a generation.
#[derive(Debug)]
pub struct Parts<T> {
    pub device: Device,
    pub scheduler: SchedulerConfig,
    /// How images are prepared.
    pub(crate) rules: Rules,
    pub transformer: T,
    pub vae: Vae,
    pub decoders: Decoders,
    pub precision: Precision,
    pub(crate) digest: Digest,
    /// Bytes of GPU memory that a generation may take, where its request does not say.
    pub budget: Option<u64>,
    encoders: Encoders,
    texts: Texts,
}

/// Those in place of the VAE's.
#[derive(Clone, Debug, Default)]
pub struct Decoders {
    pub preview: Option<TinyDecoder>,
    pub draft: Option<TinyDecoder>,
}

#[derive(Debug)]
pub(crate) struct Encoders {
    pub tokenizer: Tokenizer,
    pub text_encoder: (Arc<Weights>, umt5::config::Config),
    /// Tokens of a text, rows of zeros included.
    pub text_len: usize,
    /// Whether prompts are cleaned before they become tokens.
    pub cleans: bool,
    pub image_encoder: Option<ImageEncoder>,
}

#[derive(Debug)]
pub(crate) struct ImageEncoder {
    pub weights: Arc<Weights>,
    pub config: clip::config::Config,
    /// A diffusers checkpoint's; the official code has one rule.
    pub processor: Option<ClipImageConfig>,
}

impl<T> Parts<T> {
    /// Embeddings [text_len, text_dim] of each prompt, remembered for the next generation. The encoder is on the GPU only meanwhile, block
    /// by block.
    pub fn text_embeddings(&self, rec: &mut Recorder, prompts: &[String]) -> Result<Vec<Tensor>> {
        self.texts.get(rec, prompts, |rec, prompts| self.encode_texts(rec, prompts))
    }

    fn encode_texts(&self, rec: &mut Recorder, prompts: &[&String]) -> Result<Vec<Tensor>> {
        let (weights, config) = &self.encoders.text_encoder;
        let device = rec.device().clone();
        let encoder = umt5::Encoder::open(&device, weights, self.precision.of_floats(), config)?;
        let (tokenizer, length) = (&self.encoders.tokenizer, self.encoders.text_len);
        let cleaned = |prompt: &String| if self.encoders.cleans { clean(prompt) } else { prompt.clone() };
        let ids: Vec<_> = prompts.iter().map(|prompt| tokenizer.encode(&cleaned(prompt), umt5::MAX_TOKENS.min(length))).collect();
        let embeddings = encoder.forward_all(rec, &ids)?;
        weights.finish()?;
        let embeddings = embeddings.iter().map(|embeddings| umt5::pad(rec, embeddings, length)).collect::<Result<_>>()?;
        rec.finish()?;
        Ok(embeddings)
    }

    /// CLIP's embeddings [tokens, image_dim] of the images, one after another; none where the checkpoint has no CLIP. The encoder
    /// is on the GPU only meanwhile.
    pub fn image_embeddings(&self, rec: &mut Recorder, images: &[&RgbImage]) -> Result<Option<Tensor>> {
        let Some(ImageEncoder { weights, config, processor }) = &self.encoders.image_encoder else { return Ok(None) };
        let device = rec.device().clone();
        let encoder = clip::VisionModel::open(&device, weights, self.precision.of_floats(), config)?;
        let size = config.image_size;
        let embeddings = images.iter().map(|image| {
            let pixels = || match processor {
                Some(processor) => clip_image(image, processor, size as u32),
                None => official::clip_image(image, size as u32),
            };
            let pixels = rec.upload_with(&[3, size, size], pixels)?;
            encoder.forward(rec, &pixels)
        });
        let embeddings = embeddings.collect::<Result<Vec<_>>>()?;
        weights.finish()?;
        let embeddings = concat(rec, &embeddings.iter().collect::<Vec<_>>())?;
        rec.finish()?;
        Ok(Some(embeddings))
    }
}
