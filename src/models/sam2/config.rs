//! The sizes of a SAM 2 model.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Stages of Hiera; each halves height and width of the one before.
pub const STAGES: usize = 4;

/// No size is above this.
const LARGEST: usize = 1 << 14;

/// The sizes of a model, told from its tensors but for the first five fields, which those of published models are known by.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Config {
    /// Height and width of an image, in pixels.
    pub image_size: usize,
    /// Heads of attention, by stage of Hiera.
    pub num_attention_heads_per_stage: [usize; STAGES],
    /// Height and width of the windows that attention stays in, by stage.
    pub window_size_per_stage: [usize; STAGES],
    /// Blocks, counted over all stages, whose attention is over the whole image.
    pub global_attention_blocks: Vec<usize>,
    /// Heads of attention in the mask decoder.
    pub decoder_attention_heads: usize,
    /// Blocks of each stage.
    pub blocks_per_stage: [usize; STAGES],
    /// Channels of the first stage; each of the others has twice as many as the one before.
    pub embed_dim: usize,
    /// Height and width of the coarse positions.
    pub background_size: [usize; 2],
    /// Channels of everything behind Hiera.
    pub hidden_size: usize,
    /// Width inside the mask decoder's attention to images.
    pub decoder_attention_dim: usize,
    /// Width inside the mask decoder's MLPs.
    pub decoder_mlp_dim: usize,
    /// Width inside the memory encoder's blocks.
    pub memory_fuser_dim: usize,
    /// Layers of the memory attention.
    pub memory_attention_layers: usize,
    /// Width inside its MLPs.
    pub memory_attention_mlp_dim: usize,
    /// Channels of memories.
    pub memory_dim: usize,
}

impl Config {
    /// Channels of a stage.
    pub fn dim(&self, stage: usize) -> usize {
        self.embed_dim << stage
    }

    /// Height and width of what a stage makes.
    pub fn side(&self, stage: usize) -> usize {
        (self.image_size / 4) >> stage
    }

    /// Height and width of what masks are decoded from: that of the third stage.
    pub fn image_side(&self) -> usize {
        self.side(2)
    }

    /// Refuses sizes that fit no model, naming the field.
    ///
    /// # Errors
    /// [`Error::Input`]
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::Input(format!("SAM 2 config: {what}")));
        let sizes = [
            ("image_size", self.image_size),
            ("embed_dim", self.embed_dim),
            ("hidden_size", self.hidden_size),
            ("decoder_attention_heads", self.decoder_attention_heads),
            ("decoder_attention_dim", self.decoder_attention_dim),
            ("decoder_mlp_dim", self.decoder_mlp_dim),
            ("memory_fuser_dim", self.memory_fuser_dim),
            ("memory_attention_layers", self.memory_attention_layers),
            ("memory_attention_mlp_dim", self.memory_attention_mlp_dim),
            ("memory_dim", self.memory_dim),
        ];
        if let Some((field, size)) = sizes.into_iter().find(|&(_, size)| size == 0 || size > LARGEST) {
            return wrong(format!("`{field}` is {size}"));
        }
        if !self.image_size.is_multiple_of(32) {
            return wrong(format!("`image_size` {} is no multiple of 32", self.image_size));
        }
        let first = self.window_size_per_stage[0];
        for stage in 0..STAGES {
            let (dim, heads, window) = (self.dim(stage), self.num_attention_heads_per_stage[stage], self.window_size_per_stage[stage]);
            if heads == 0 || dim % heads != 0 || window == 0 || window > LARGEST || self.blocks_per_stage[stage] == 0 {
                return wrong(format!("stage {stage} of {dim} channels has {heads} heads in windows of {window}"));
            }
            if stage + 1 < STAGES && window % 2 != 0 {
                return wrong(format!("windows of {window} in stage {stage} cannot be halved"));
            }
        }
        if !self.side(0).is_multiple_of(first) {
            return wrong(format!("windows of {first} do not share out {} tokens", self.side(0)));
        }
        if !self.hidden_size.is_multiple_of(self.memory_dim) || !self.memory_dim.is_multiple_of(4) {
            return wrong(format!("objects of {} numbers are no whole rows of memories of {}", self.hidden_size, self.memory_dim));
        }
        let (hidden, inner, heads) = (self.hidden_size, self.decoder_attention_dim, self.decoder_attention_heads);
        if hidden % 8 != 0 || hidden % heads != 0 || inner % heads != 0 {
            return wrong(format!("widths {hidden} and {inner} in {heads} heads"));
        }
        Ok(())
    }
}
