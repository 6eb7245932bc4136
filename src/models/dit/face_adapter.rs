//! The face adapter: after some blocks, the tokens of a latent frame look at that frame's face tokens, and at no other's.

use std::ops::Range;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::layers::{Loader, Precision};
use crate::models::dit::{config::Config, projections::Projections};
use crate::ops::{attention::Heads, attention::attention, copy::slice, layer_norm::Affine, layer_norm::layer_norm, operand_dtype};

/// One `face_adapter.N`. Queries and keys are normed head by head, unlike those of the blocks.
#[derive(Debug)]
pub struct FaceAdapter {
    heads: usize,
    eps: f32,
    operand: DType,
    /// How queries, keys and values are stored: attention reads heads, whose size must be a multiple of four for f16.
    inputs: DType,
    projections: Projections,
}

/// Keys and values of the face tokens of every latent frame, for one adapter.
#[derive(Clone, Debug)]
pub struct FaceKeys {
    frames: usize,
    k: Tensor,
    v: Tensor,
}

impl FaceAdapter {
    /// From `face_adapter.N.`
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        let (width, dim) = (config.width(), config.attention_head_dim);
        Ok(Self {
            heads: config.num_attention_heads,
            eps: config.eps,
            operand: loader.precision().operand(),
            inputs: operand_dtype(loader.precision().operand(), dim),
            projections: Projections::load(loader, "to_out", width, dim, config.eps)?,
        })
    }

    /// Keys and values of `face` [T * tokens, C], the tokens of `frames` latent frames.
    pub fn keys(&self, rec: &mut Recorder, face: &Tensor, frames: usize) -> Result<FaceKeys> {
        let normed = layer_norm(rec, face, Affine::None, self.eps, self.operand)?;
        let (k, v) = self.projections.keys.forward(rec, &normed, self.inputs)?;
        Ok(FaceKeys { frames, k, v })
    }

    /// x [L, C] plus what its tokens see in their frame's face.
    pub fn forward(&self, rec: &mut Recorder, x: &Tensor, keys: &FaceKeys) -> Result<Tensor> {
        if !x.rows().is_multiple_of(keys.frames) {
            return Err(Error::Input(format!("{} tokens do not fall into {} latent frames", x.rows(), keys.frames)));
        }
        let normed = layer_norm(rec, x, Affine::None, self.eps, self.operand)?;
        let q = self.projections.queries(rec, &normed, self.inputs)?;
        let how = Heads { batches: keys.frames, ..Heads::scaled(self.heads, x.cols()) };
        let attended = attention(rec, &q, &keys.k, &keys.v, how, self.operand)?;
        self.projections.to_out.forward_residual(rec, &attended, None, x)
    }
}

/// Whether an adapter acts after every block that should have one.
///
/// # Errors
/// [`Error::Input`] where the blocks do not come out even.
pub fn check(config: &Config) -> Result<()> {
    let (layers, every) = (config.num_layers, config.inject_face_latents_blocks);
    match layers.is_multiple_of(every) {
        true => Ok(()),
        false => {
            Err(Error::Input(format!("transformer config: `num_layers` {layers} is no multiple of `inject_face_latents_blocks` {every}")))
        }
    }
}

/// What the faces of one segment offer: the tokens of each latent frame, and each adapter's keys and values as soon as it has been
/// there once.
#[derive(Clone, Debug)]
pub struct Face {
    frames: usize,
    /// [T * tokens, C]
    tokens: Tensor,
    keys: Vec<Option<FaceKeys>>,
}

impl Face {
    /// From the tokens [T * tokens, C] of `frames` latent frames, for so many adapters.
    pub(super) fn new(frames: usize, tokens: Tensor, adapters: usize) -> Self {
        Self { frames, tokens, keys: vec![None; adapters] }
    }

    pub fn frames(&self) -> usize {
        self.frames
    }

    /// What adapter `number` sees in some of the latent frames.
    pub(super) fn keys(&mut self, rec: &mut Recorder, number: usize, adapter: &FaceAdapter, frames: Range<usize>) -> Result<FaceKeys> {
        let whole = match &mut self.keys[number] {
            Some(keys) => keys,
            empty => empty.insert(adapter.keys(rec, &self.tokens, self.frames)?),
        };
        if frames.len() == self.frames {
            return Ok(whole.clone());
        }
        let tokens = self.tokens.rows() / self.frames;
        let part = |rec: &mut Recorder, x: &Tensor| slice(rec, x, frames.start * tokens, frames.len() * tokens);
        Ok(FaceKeys { frames: frames.len(), k: part(rec, &whole.k)?, v: part(rec, &whole.v)? })
    }
}

/// The precision that the face path runs in whatever the user's choice: the motion encoder is small and feeds a QR.
pub const MOTION_PRECISION: Precision = Precision::F32;
