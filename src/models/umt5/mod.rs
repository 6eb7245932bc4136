//! UMT5, the text encoder: T5 with a table of relative positions in every layer.
//!
//! The residual stream and everything inside the feed-forward layer are f32 in any precision, because they leave the range of
//! f16. Attention logits are not scaled.

pub mod block;
pub mod config;
pub mod position;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::Recorder;
use crate::layers::{Embedding, Loader, RmsNorm};
use crate::models::umt5::block::Block;
use crate::models::umt5::config::Config;
use crate::ops::copy::concat;
use crate::tensor::Tensor;

/// Tokens of a prompt at most, and rows that the embeddings of one are padded to.
pub const MAX_TOKENS: usize = 512;

/// An `UMT5EncoderModel`. The vocabulary stays in the mapped file.
#[derive(Debug)]
pub struct Encoder<'a> {
    config: Config,
    shared: Embedding<'a>,
    block: Vec<Block>,
    final_layer_norm: RmsNorm,
}

impl<'a> Encoder<'a> {
    /// Reads all blocks.
    pub fn load(loader: &Loader<'a>, config: &Config) -> Result<Self> {
        config.check()?;
        let encoder = loader.scope("encoder");
        let blocks = encoder.scope("block");
        Ok(Self {
            config: config.clone(),
            shared: vocabulary(loader, config)?,
            block: (0..config.num_layers).map(|i| Block::load(&blocks.scope(i), config)).collect::<Result<_>>()?,
            final_layer_norm: RmsNorm::load(&encoder, "final_layer_norm", config.d_model, config.layer_norm_epsilon)?,
        })
    }

    /// The embeddings [L, d_model], in f32, of 1 to [`MAX_TOKENS`] tokens. Padding is not to be among them: without it the
    /// result is what the reference computes with padding and a mask.
    ///
    /// # Errors
    /// [`Error::Input`] for no tokens, too many, or one that the vocabulary does not have.
    pub fn forward(&self, rec: &mut Recorder, ids: &[u32]) -> Result<Tensor> {
        if ids.is_empty() || ids.len() > MAX_TOKENS {
            return Err(Error::Input(format!("a prompt of {} tokens; 1 to {MAX_TOKENS} are possible", ids.len())));
        }
        let buckets = position::buckets(ids.len(), &self.config);
        let mut x = rec.upload_with(&[ids.len(), self.config.d_model], || self.shared.rows(ids))?;
        for block in &self.block {
            x = block.forward(rec, &x, &buckets)?;
        }
        self.final_layer_norm.forward(rec, &x, DType::F32)
    }
}

/// The table may be stored under either of its two names, or under both.
fn vocabulary<'a>(loader: &Loader<'a>, config: &Config) -> Result<Embedding<'a>> {
    let (rows, cols) = (config.vocab_size, config.d_model);
    let own = loader.scope("encoder");
    if !own.contains("embed_tokens.weight") {
        return Embedding::load(loader, "shared", rows, cols);
    }
    if loader.contains("shared.weight") {
        loader.view("shared.weight", &[rows, cols])?;
    }
    Embedding::load(&own, "embed_tokens", rows, cols)
}

/// Embeddings [L, C] with rows of zeros below, up to [`MAX_TOKENS`]: what a diffusion transformer is fed.
pub fn pad(rec: &mut Recorder, embeddings: &Tensor) -> Result<Tensor> {
    let (rows, cols) = (embeddings.rows(), embeddings.cols());
    let missing = MAX_TOKENS.saturating_sub(rows);
    if missing == 0 {
        return Ok(embeddings.clone());
    }
    let zeros = rec.zeros(&[missing, cols])?;
    concat(rec, &[embeddings, &zeros])
}
