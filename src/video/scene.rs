//! Where a character is replaced.

use image::RgbImage;

use super::{motion::Motion, motion::check_counts, source::Frames};
use crate::Result;

/// A motion, the video in which the character is replaced, and the mask of where it stands.
///
/// Background and mask are stretched to the result's size, as poses are: give all of them its aspect. What the mask keeps is the background's, but for
/// what the model and its autoencoder make of it.
///
/// ```no_run
/// use wan_animate::video::{Frames, Motion, Scene, open_image};
/// # fn run(pipeline: &wan_animate::AnimatePipeline) -> wan_animate::Result<()> {
/// let motion = Motion::new(Frames::open("pose.mp4")?, Frames::open("face.mp4")?)?;
/// let scene = Scene::new(motion, Frames::open("background.mp4")?, Frames::open("mask.mp4")?)?; // or one picture for all frames
/// let generation = pipeline.replace(open_image("character.png")?, scene).size(832, 480).start()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Scene {
    motion: Motion,
    background: Frames,
    mask: Frames,
}

impl Scene {
    /// Joins them frame by frame. In the mask white is generated and black is kept; a mask of one frame stands for all.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) where the counts of frames differ otherwise.
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

    /// The mask of the frame at `index`.
    ///
    /// # Errors
    /// Those of [`FrameSource::read`](super::FrameSource::read).
    pub fn read_mask(&self, index: usize) -> Result<RgbImage> {
        self.mask.read(if self.mask.num_frames() == 1 { 0 } else { index })
    }
}
