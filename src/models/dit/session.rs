//! What one generation keeps of a transformer, which others may use at the same time.

use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::{Precision, shelf::Claim};
use crate::models::dit::{block::Block, block::CrossKeys, cache::layer_cache::LayerCache, runs::MOST_TOKENS};

/// Memory that a pass takes to be faster. The result is the same bits whatever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Tokens that are worked on at a time, where one latent frame has no more.
    pub tokens: usize,
    /// Whether keys and values of cross-attention are kept from step to step, or computed anew.
    pub keep_keys: bool,
    /// Whether what is kept of layers to be reused is on the GPU, or on the host.
    pub cache_on_host: bool,
}

impl Default for Footprint {
    fn default() -> Self {
        Self { tokens: MOST_TOKENS, keep_keys: true, cache_on_host: false }
    }
}

/// See the module. Made by [`Dit::session`](super::Dit::session); `L` are the transformer's layers.
pub struct Session<L> {
    pub(super) footprint: Footprint,
    pub(super) stay: Claim<L>,
    pub(super) prompts: Vec<Prompt>,
    pub(super) cache: LayerCache,
}

/// What a prompt and a reference image contribute to every step: tokens [L, C], and keys and values for each block as soon as the block
/// has been there once.
pub(super) struct Prompt {
    pub text: Tensor,
    pub image: Option<Tensor>,
    pub keys: Vec<Option<CrossKeys>>,
}

impl<L> Session<L> {
    /// From now on the first `count` layers stay on the GPU for it, once they are there; others that nobody keeps leave.
    pub fn keep(&mut self, count: usize) {
        self.stay.set(0..count);
    }

    /// How many prompts [`Dit::add_prompt`](super::Dit::add_prompt) has given it.
    pub fn prompts(&self) -> usize {
        self.prompts.len()
    }
}

impl Prompt {
    /// Keys and values of cross-attention for the block of a number.
    pub fn keys(&mut self, rec: &mut Recorder, block: &Block, number: usize, precision: Precision, keep: bool) -> Result<CrossKeys> {
        if let Some(keys) = &self.keys[number] {
            return Ok(keys.clone());
        }
        let keys = block.cross_keys(rec, &self.text, self.image.as_ref(), precision)?;
        self.keys[number] = keep.then(|| keys.clone());
        Ok(keys)
    }
}
