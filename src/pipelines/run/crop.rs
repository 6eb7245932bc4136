//! The part of the canvas that the result shows.

use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::ops::copy::join_inner;

/// A rectangle of pixels within a canvas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// Its corner: column and row.
    pub at: (usize, usize),
    /// Its width and height.
    pub size: (usize, usize),
}

impl Crop {
    /// All of a canvas.
    pub fn whole(size: (usize, usize)) -> Self {
        Self { at: (0, 0), size }
    }

    /// The samples [h, w, 3] of a frame [H, W, 3] of a canvas `width` wide.
    pub fn samples(&self, frame: Vec<f32>, width: usize) -> Vec<f32> {
        let Self { at: (x, y), size: (own_width, own_height) } = *self;
        if frame.len() == 3 * own_width * own_height {
            return frame;
        }
        let row = |row: usize| &frame[3 * ((y + row) * width + x)..][..3 * own_width];
        (0..own_height).flat_map(row).copied().collect()
    }

    /// Frames [F, h, w, 3] of frames [F, H, W, 3].
    pub fn frames(&self, rec: &mut Recorder, frames: &Tensor) -> Result<Tensor> {
        let Self { at: (x, y), size: (own_width, own_height) } = *self;
        let &[count, height, width, channels] = frames.shape() else { return Ok(frames.clone()) };
        if (own_width, own_height) == (width, height) {
            return Ok(frames.clone());
        }
        let rows = join_inner(rec, &[(&frames.reshape(&[count, height, width * channels]), y..y + own_height)])?;
        let columns = rows.reshape(&[count * own_height, width, channels]);
        let cut = join_inner(rec, &[(&columns, x..x + own_width)])?;
        Ok(cut.reshape(&[count, own_height, own_width, channels]))
    }
}
