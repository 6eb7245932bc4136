//! Blocks, more frames, and twice the size.

use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::Loader;
use crate::models::taehv::block::{Conv, MemBlock};
use crate::ops::finish::Finish;

/// Blocks of a level.
pub const BLOCKS: usize = 3;

#[derive(Debug)]
pub struct Level {
    blocks: [MemBlock; BLOCKS],
    /// One for each frame that a frame becomes.
    grow: Vec<Conv>,
    /// At twice the size.
    conv: Conv,
}

impl Level {
    /// From `width` channels to `outputs`; each frame becomes `frames`. `first` is the number of its first layer in the file.
    pub fn load(loader: &Loader, first: usize, width: usize, outputs: usize, frames: usize) -> Result<Self> {
        let block = |i: usize| MemBlock::load(&loader.scope(first + i), width);
        let blocks = [block(0)?, block(1)?, block(2)?];
        // Enlarging copies pixels, so that a convolution of single pixels may come before it in place of after.
        let scope = loader.scope(format_args!("{}.conv", first + BLOCKS + 1));
        let weight = scope.values("weight", &[frames * width, width, 1, 1])?;
        let part = |i: usize| {
            let own = || Ok(weight()?.chunks(width * width).nth(i).unwrap_or_default().to_vec());
            Conv::from_values(&scope, [width, width, 1, 1, 1], &own, None)
        };
        let grow = (0..frames).map(part).collect::<Result<_>>()?;
        let conv = Conv::load(loader, &(first + BLOCKS + 2).to_string(), [outputs, width, 3], false)?;
        Ok(Self { blocks, grow, conv })
    }

    /// A frame's part that no frame of the result has alone. `past` is what its blocks keep.
    pub fn blocks(&self, rec: &mut Recorder, x: &Tensor, past: &mut [Option<Tensor>; BLOCKS]) -> Result<Tensor> {
        let mut x = x.clone();
        for (block, past) in self.blocks.iter().zip(past) {
            x = block.forward(rec, &x, past)?;
        }
        Ok(x)
    }

    /// How many frames a frame becomes.
    pub fn frames(&self) -> usize {
        self.grow.len()
    }

    /// One of the frames that become of what the blocks made.
    pub fn frame(&self, rec: &mut Recorder, x: &Tensor, index: usize, finish: Finish) -> Result<Tensor> {
        let grown = self.grow[index].forward(rec, x, None, false, Finish::default())?;
        self.conv.forward(rec, &grown, None, true, finish)
    }
}
