//! Where a character is replaced.

use image::RgbImage;

use super::{motion::Motion, motion::check_counts, source::Frames};
use crate::Result;

/// A motion, the video in which the character is replaced, and the mask of where it stands.
#[derive(Clone, Debug)]
pub struct Scene {
    motion: Motion,
    background: Frames,
    mask: Frames,
}

impl Scene {
    /// Joins them frame by frame. In the mask white is generated and black is kept; a mask of one frame stands for all.
    /// Fails when the counts of frames differ otherwise.
    pub fn new(motion: Motion, background: Frames, mask: Frames) -> Result<Self> {
        check_counts(("motion's", motion.num_frames()), ("background", background.num_frames()))?;
        if mask.num_frames() != 1 {
            check_counts(("background", background.num_frames()), ("mask", mask.num_frames()))?;
        }
        Ok(Self { motion, background, mask })
    }

    /// What moves the new character.
    pub fn motion(&self) -> &Motion {
        &self.motion
    }

    /// The video in which the character is replaced.
    pub fn background(&self) -> &Frames {
        &self.background
    }

    /// The mask of the frame at `index`. Fails as [`FrameSource::read`](super::FrameSource::read) does.
    pub fn read_mask(&self, index: usize) -> Result<RgbImage> {
        self.mask.read(if self.mask.num_frames() == 1 { 0 } else { index })
    }
}
