//! Where others act within the backbone.

use std::ops::Range;

use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::Loader;
use crate::models::dit::{beside::Beside, block::Block, config::Config};

/// A layer of the backbone: a block, and with it what its [`Hooks`] need to act after it.
pub trait Layer: Sized {
    /// Reads the layer of a number.
    fn load(loader: &Loader, config: &Config, number: usize) -> Result<Self>;

    fn block(&self) -> &Block;
}

/// What is done in addition in a pass over layers `L`. By default nothing.
pub trait Hooks<L> {
    /// What is added to the tokens of some latent frames before the first block, [L, C] in f32.
    fn before_blocks(&mut self, _rec: &mut Recorder, _frames: Range<usize>) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// Where the tokens of some latent frames of a grid of so many rows and columns stand along time, height and width.
    fn places(&self, frames: Range<usize>, [rows, cols]: [usize; 2]) -> [Range<usize>; 3] {
        [frames, 0..rows, 0..cols]
    }

    /// Whether the pass leaves out the layer of a number.
    fn skips(&self, _number: usize) -> bool {
        false
    }

    /// What self-attention of the layer of a number has to do with another video.
    fn beside(&mut self, _number: usize) -> Beside {
        Beside::Nothing
    }

    /// Takes back what [`beside`](Self::beside) gave, after the layer.
    fn take_back(&mut self, _beside: Beside) {}

    /// What becomes of the tokens x [L, C] of some latent frames after a layer.
    fn after_block(&mut self, _rec: &mut Recorder, _layer: &L, _frames: Range<usize>, x: Tensor) -> Result<Tensor> {
        Ok(x)
    }
}

impl Layer for Block {
    fn load(loader: &Loader, config: &Config, number: usize) -> Result<Self> {
        Self::load(&loader.scope(format_args!("blocks.{number}")), config)
    }

    fn block(&self) -> &Block {
        self
    }
}

impl<L> Hooks<L> for () {}
