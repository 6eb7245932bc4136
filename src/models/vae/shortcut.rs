//! The levels of VAE 2.2: layers, and a shortcut past all of them.

use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::models::vae::{feature_cache::LayerCache, stream::Layer, stream::pass};
use crate::ops::shortcut::{PixelBlock, avg_down, dup_up};

/// Where a shortcut leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    /// To means of blocks.
    Down,
    /// To copies in blocks.
    Up,
}

/// The layers of a level that changes the resolution, with a shortcut past them that has no weights.
#[derive(Debug)]
pub struct Shortcut {
    layers: Vec<Layer>,
    direction: Direction,
    block: PixelBlock,
}

impl Shortcut {
    /// Past layers of an encoder, which make one pixel of each block.
    pub fn down(layers: Vec<Layer>, block: PixelBlock) -> Self {
        Self { layers, direction: Direction::Down, block }
    }

    /// Past layers of a decoder, which make a block of each pixel.
    pub fn up(layers: Vec<Layer>, block: PixelBlock) -> Self {
        Self { layers, direction: Direction::Up, block }
    }

    /// The layers that it leads past.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The next frame. The layers tell when a block in time is full: a shortcut gives a frame where they do.
    pub fn forward(&self, rec: &mut Recorder, x: &Tensor, cache: &mut LayerCache) -> Result<Vec<Tensor>> {
        let frames = pass(rec, &self.layers, &mut cache.inner, x.clone())?;
        match self.direction {
            Direction::Down => self.add_means(rec, x, frames, cache),
            Direction::Up => self.add_copies(rec, x, &frames),
        }
    }

    /// The last frame of a block is the newest. The first frame of a video ends a block for which it is alone: the others are zero.
    fn add_means(&self, rec: &mut Recorder, x: &Tensor, frames: Vec<Tensor>, cache: &mut LayerCache) -> Result<Vec<Tensor>> {
        let block = &mut cache.histories[0];
        block.push_front(x.clone());
        let mut sums = Vec::new();
        for frame in frames {
            let newest_first = (0..self.block.time).rev().zip(block.drain(..));
            sums.push(newest_first.into_iter().try_fold(frame, |sum, (t, x)| avg_down(rec, &x, &sum, self.block, t))?);
        }
        Ok(sums)
    }

    /// The first frame of a video becomes one frame, the last of its block.
    fn add_copies(&self, rec: &mut Recorder, x: &Tensor, frames: &[Tensor]) -> Result<Vec<Tensor>> {
        let newest = (0..self.block.time).skip(self.block.time.saturating_sub(frames.len()));
        newest.zip(frames).map(|(t, frame)| dup_up(rec, x, frame, self.block, t)).collect()
    }
}
