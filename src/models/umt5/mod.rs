//! UMT5, the text encoder: T5 with a table of relative positions in every layer.
//!
//! The residual stream and everything inside the feed-forward layer are f32 in any precision, because they leave the range of
//! f16. Attention logits are not scaled.

pub mod block;
pub mod config;
pub mod names;
pub mod position;
pub mod spec;

use std::sync::Arc;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Sink, Tensor};
use crate::layers::{Embedding, Loader, Precision, RmsNorm, stack::Stack};
use crate::models::umt5::{block::Block, config::Config};
use crate::ops::copy::concat;
use crate::weights::Weights;

/// Tokens of a prompt at most.
pub const MAX_TOKENS: usize = 512;

/// An `UMT5EncoderModel`. The vocabulary stays in the mapped file.
#[derive(Debug)]
pub struct Encoder<'a> {
    config: Config,
    shared: Embedding<'a>,
    block: Stack<Block>,
    final_layer_norm: RmsNorm,
}

impl<'a> Encoder<'a> {
    pub fn load(loader: &Loader<'a>, config: &Config) -> Result<Self> {
        let blocks = Stack::load(loader, config.num_layers, |loader, i| block(loader, config, i))?;
        Self::with_blocks(loader, config, blocks)
    }

    /// Leaves the blocks in the file: each is on the GPU only while it is at work.
    pub fn open(sink: &'a dyn Sink, weights: &'a Arc<Weights>, precision: Precision, config: &Config) -> Result<Self> {
        let own = config.clone();
        let blocks = Stack::open(weights, precision, config.num_layers, move |loader, i| block(loader, &own, i));
        Self::with_blocks(&Loader::new(sink, weights, precision), config, blocks)
    }

    fn with_blocks(loader: &Loader<'a>, config: &Config, block: Stack<Block>) -> Result<Self> {
        config.check()?;
        let encoder = loader.scope("encoder");
        Ok(Self {
            config: config.clone(),
            shared: vocabulary(loader, config)?,
            block,
            final_layer_norm: RmsNorm::load(&encoder, "final_layer_norm", config.d_model, config.layer_norm_epsilon)?,
        })
    }

    /// The embeddings [L, d_model], in f32, of 1 to [`MAX_TOKENS`] tokens. Padding is not to be among them: without it the
    /// result is what the reference computes with padding and a mask.
    ///
    /// # Errors
    /// [`Error::Input`] for no tokens, too many, or one that the vocabulary does not have.
    pub fn forward(&self, rec: &mut Recorder, ids: &[u32]) -> Result<Tensor> {
        let mut embeddings = self.forward_all(rec, &[ids.to_vec()])?;
        embeddings.pop().ok_or_else(|| Error::Input("no prompt".into()))
    }

    /// The same for several prompts, in one pass over the blocks.
    pub fn forward_all(&self, rec: &mut Recorder, prompts: &[Vec<u32>]) -> Result<Vec<Tensor>> {
        let embed = |ids: &Vec<u32>| {
            if ids.is_empty() || ids.len() > MAX_TOKENS {
                return Err(Error::Input(format!("a prompt of {} tokens; 1 to {MAX_TOKENS} are possible", ids.len())));
            }
            rec.upload_with(&[ids.len(), self.config.d_model], || self.shared.rows(ids))
        };
        let mut streams = prompts.iter().map(embed).collect::<Result<Vec<_>>>()?;
        let buckets: Vec<_> = prompts.iter().map(|ids| position::buckets(ids.len(), &self.config)).collect();
        self.block.pass(rec, &self.block.claim(), self.block.all(), |rec, _, block| {
            for (x, buckets) in streams.iter_mut().zip(&buckets) {
                *x = block.forward(rec, x, buckets)?;
            }
            Ok(())
        })?;
        streams.iter().map(|x| self.final_layer_norm.forward(rec, x, DType::F32)).collect()
    }
}

fn block(loader: &Loader, config: &Config, i: usize) -> Result<Block> {
    config.check()?;
    Block::load(&loader.scope("encoder").scope("block").scope(i), config)
}

/// The table may be stored under either of its two names, or under both.
fn vocabulary<'a>(loader: &Loader<'a>, config: &Config) -> Result<Embedding<'a>> {
    let (rows, cols) = (config.vocab_size, config.d_model);
    let own = loader.scope("encoder");
    if !own.contains("embed_tokens.weight") {
        return Embedding::load(loader, "shared", rows, cols);
    }
    if loader.contains("shared.weight") {
        loader.claim("shared.weight", &[rows, cols])?;
    }
    Embedding::load(&own, "embed_tokens", rows, cols)
}

/// Embeddings [L, C] with rows of zeros below, up to `length`: what a diffusion transformer is fed.
pub fn pad(rec: &mut Recorder, embeddings: &Tensor, length: usize) -> Result<Tensor> {
    let (rows, cols) = (embeddings.rows(), embeddings.cols());
    let missing = length.saturating_sub(rows);
    if missing == 0 {
        return Ok(embeddings.clone());
    }
    let zeros = rec.zeros(&[missing, cols])?;
    concat(rec, &[embeddings, &zeros])
}
