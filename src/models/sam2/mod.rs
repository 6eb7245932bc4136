//! SAM 2 and 2.1: from points and boxes to the mask of an object in an image.
//!
//! An image passes through [`hiera`] and the [`neck`] once. The [`prompt`] says which object is meant, the [`decoder`] makes masks of both, and
//! one of them is the [`choice`]. Through a video a [`tracker`] follows the object: by what the [`memory_encoder`] made of other frames, when they
//! were ([`times`]), and what the [`memory_attention`] sees of that.

pub mod choice;
pub mod config;
pub mod decoder;
pub mod downscaling;
pub mod hiera;
pub mod memory_attention;
pub mod memory_encoder;
pub mod names;
pub mod neck;
pub mod positions;
pub mod prompt;
pub mod spec;
pub mod times;
pub mod tracker;
pub mod two_way;
pub mod window;

use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::Loader;
use crate::models::sam2::choice::{Mask, choose};
use crate::models::sam2::config::Config;
use crate::models::sam2::decoder::{Decoded, MaskDecoder, Perceptron};
use crate::models::sam2::hiera::Hiera;
use crate::models::sam2::memory_attention::{Memories, MemoryAttention};
use crate::models::sam2::memory_encoder::MemoryEncoder;
use crate::models::sam2::neck::{LEVELS, Neck};
use crate::models::sam2::prompt::{Prompt, PromptEncoder};
use crate::models::sam2::times::Times;
use crate::ops::Activation;
use crate::ops::binary::{Function, binary};
use crate::ops::copy::slice;
use crate::ops::lincomb::add;

/// A SAM 2 model.
#[derive(Debug)]
pub struct Sam2 {
    config: Config,
    hiera: Hiera,
    neck: Neck,
    prompt_encoder: PromptEncoder,
    mask_decoder: MaskDecoder,
    memory_encoder: MemoryEncoder,
    memory_attention: MemoryAttention,
    times: Times,
    obj_ptr_proj: Perceptron,
    /// [1, hidden]
    no_obj_ptr: Tensor,
    /// `[hidden]`: what images are told that nothing is remembered for.
    no_mem_embed: Tensor,
    /// `[memory]`, of 2.1: what is added to memories of frames in which the object is not.
    no_obj_embed_spatial: Option<Tensor>,
}

impl Sam2 {
    /// Reads all tensors, in their original names.
    ///
    /// # Errors
    /// Those of [`Config::check`], and [`Error::Weights`](crate::Error::Weights) where tensors and configuration disagree.
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        config.check()?;
        let (encoder, hidden) = (loader.scope("image_encoder"), config.hidden_size);
        let absent = "no_obj_embed_spatial";
        let no_obj_embed_spatial = loader.contains(absent).then(|| loader.tensor(absent, &[1, config.memory_dim]));
        Ok(Self {
            config: config.clone(),
            hiera: Hiera::load(&encoder.scope("trunk"), config)?,
            neck: Neck::load(&encoder.scope("neck"), config)?,
            prompt_encoder: PromptEncoder::load(&loader.scope("sam_prompt_encoder"), config)?,
            mask_decoder: MaskDecoder::load(&loader.scope("sam_mask_decoder"), config)?,
            memory_encoder: MemoryEncoder::load(&loader.scope("memory_encoder"), config)?,
            memory_attention: MemoryAttention::load(&loader.scope("memory_attention"), config)?,
            times: Times::load(loader, config)?,
            obj_ptr_proj: Perceptron::load(&loader.scope("obj_ptr_proj"), hidden, hidden)?,
            no_obj_ptr: loader.tensor("no_obj_ptr", &[1, hidden])?,
            no_mem_embed: loader.tensor("no_mem_embed", &[1, 1, hidden])?.reshape(&[hidden]),
            no_obj_embed_spatial: no_obj_embed_spatial.transpose()?.map(|tensor| tensor.reshape(&[config.memory_dim])),
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

    /// What makes tokens of prompts.
    pub fn prompt_encoder(&self) -> &PromptEncoder {
        &self.prompt_encoder
    }

    /// A normalised image [S, S, 3] in f32 to its features [H * W, hidden], the finest first.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) where it is of another size.
    pub fn encode(&self, rec: &mut Recorder, pixels: &Tensor) -> Result<[Tensor; LEVELS]> {
        let stages = self.hiera.forward(rec, pixels)?;
        self.neck.forward(rec, &stages)
    }

    /// Where and when memories are.
    pub fn times(&self) -> &Times {
        &self.times
    }

    /// The masks that a prompt may mean in an encoded image, whose coarsest level was told what is remembered. With a mask that was found before, it
    /// says what is wrong with that.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) where a place is no number.
    pub fn decode(&self, rec: &mut Recorder, levels: &[Tensor; LEVELS], prompt: &Prompt, earlier: Option<&Mask>) -> Result<Decoded> {
        let tokens = self.prompt_encoder.tokens(prompt)?;
        let tokens = rec.upload(&[tokens.len() / self.config.hidden_size, self.config.hidden_size], &tokens)?;
        let [fine, middle, coarse] = levels.clone();
        let coarse = match earlier {
            Some(mask) => {
                let mask = self.prompt_encoder.mask(rec, &mask.logits)?;
                add(rec, &coarse, &mask)?
            }
            None => binary(rec, &coarse, &self.prompt_encoder.no_mask, Function::Add)?,
        };
        self.mask_decoder.forward(rec, &[fine, middle, coarse], &tokens, &self.prompt_encoder.image_positions)
    }

    /// The mask of the object that a prompt means in an encoded image, of which nothing is remembered, and the object itself as [1, hidden] in f32.
    ///
    /// # Errors
    /// As [`decode`](Self::decode), and those of the device.
    pub fn mask(&self, rec: &mut Recorder, levels: &[Tensor; LEVELS], prompt: &Prompt) -> Result<(Mask, Tensor)> {
        let levels = self.without_memories(rec, levels)?;
        self.mask_in(rec, &levels, prompt, None)
    }

    /// An encoded image whose coarsest level is told that nothing is remembered.
    ///
    /// # Errors
    /// Those of the device.
    pub fn without_memories(&self, rec: &mut Recorder, levels: &[Tensor; LEVELS]) -> Result<[Tensor; LEVELS]> {
        let [fine, middle, coarse] = levels.clone();
        Ok([fine, middle, binary(rec, &coarse, &self.no_mem_embed, Function::Add)?])
    }

    /// The same where the coarsest level was told what is remembered, or with a mask that was found before.
    ///
    /// # Errors
    /// As [`mask`](Self::mask).
    pub fn mask_in(
        &self,
        rec: &mut Recorder,
        levels: &[Tensor; LEVELS],
        prompt: &Prompt,
        earlier: Option<&Mask>,
    ) -> Result<(Mask, Tensor)> {
        let Decoded { masks, ious, score, tokens } = self.decode(rec, levels, prompt, earlier)?;
        let later = [rec.download_later(&masks)?, rec.download_later(&ious)?, rec.download_later(&score)?];
        rec.finish()?;
        let [masks, ious, score]: [Vec<f32>; 3] = [later[0].wait()?, later[1].wait()?, later[2].wait()?];
        let mask = choose(&masks, &ious, score[0], prompt.is_ambiguous());
        if mask.score <= 0.0 {
            return Ok((mask, self.no_obj_ptr.clone()));
        }
        let token = slice(rec, &tokens, mask.token, 1)?;
        Ok((mask, self.obj_ptr_proj.forward(rec, &token, Activation::None)?))
    }

    /// What is remembered of an encoded image and the mask that was found in it: [H * W, memory] in f32. A mask that follows from a prompt
    /// counts as sure.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) where the mask is of another size.
    pub fn remember(&self, rec: &mut Recorder, levels: &[Tensor; LEVELS], mask: &Mask, is_prompted: bool) -> Result<Tensor> {
        let side = 4 * self.config.image_side();
        let logits = rec.upload(&[1, side, side, 1], &mask.logits)?;
        let memory = self.memory_encoder.forward(rec, &levels[LEVELS - 1], &logits, is_prompted)?;
        match &self.no_obj_embed_spatial {
            Some(absent) if mask.score <= 0.0 => binary(rec, &memory, absent, Function::Add),
            _ => Ok(memory),
        }
    }

    /// What the coarsest features of an encoded image, [H * W, hidden] in f32, become in view of what is remembered.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) where memories are of other sizes.
    pub fn recall(&self, rec: &mut Recorder, levels: &[Tensor; LEVELS], memories: Memories) -> Result<Tensor> {
        self.memory_attention.forward(rec, &levels[LEVELS - 1], memories)
    }
}
