//! What a generation is given, made of a video.

use std::sync::Arc;

use super::keypoints::Keypoints;
use super::report::Report;
use crate::video::{Frames, Motion, Scene};
use crate::{Error, Result};

/// The videos that condition a generation. Their frames are made when they are read.
#[derive(Clone, Debug)]
pub struct Conditions {
    pub(super) size: (u32, u32),
    pub(super) pose: Frames,
    pub(super) face: Frames,
    pub(super) replaced: Option<Replaced>,
    pub(super) overlay: Frames,
    pub(super) keypoints: Arc<Keypoints>,
    pub(super) report: Arc<Report>,
    pub(super) fps: f64,
}

/// Where the character is replaced.
#[derive(Clone, Debug)]
pub(super) struct Replaced {
    pub(super) background: Frames,
    pub(super) mask: Frames,
}

impl Conditions {
    /// The pose drawings, of the size that is to be generated unless they were given.
    pub fn pose(&self) -> &Frames {
        &self.pose
    }

    /// The face crops.
    pub fn face(&self) -> &Frames {
        &self.face
    }

    /// The video without what is generated, in replace mode.
    pub fn background(&self) -> Option<&Frames> {
        self.replaced.as_ref().map(|replaced| &replaced.background)
    }

    /// What is generated, white, in replace mode.
    pub fn mask(&self) -> Option<&Frames> {
        self.replaced.as_ref().map(|replaced| &replaced.mask)
    }

    /// The video with what was found drawn on it: the person's box (white), the face's (blue), the mask's outline (magenta), points from
    /// red (not sure) to green (sure), those of the body with their scores in hundredths; a red border where the frame may be spoilt.
    pub fn overlay(&self) -> &Frames {
        &self.overlay
    }

    /// The key points after sampling, filling of gaps and smoothing: saved and edited, they can be preprocessed again.
    pub fn keypoints(&self) -> &Keypoints {
        &self.keypoints
    }

    /// What was found in each frame, and what to look at.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Width and height in pixels of what is to be generated.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// Frames a second: those asked for, or else the video's or the key points' own, or else 30.
    pub fn fps(&self) -> f64 {
        self.fps
    }

    /// Poses and faces, for [`AnimatePipeline::animate`](crate::AnimatePipeline::animate).
    ///
    /// # Errors
    /// Those of [`Motion::new`], which what was prepared together does not meet.
    pub fn motion(&self) -> Result<Motion> {
        Motion::new(self.pose.clone(), self.face.clone())
    }

    /// All four videos, for [`AnimatePipeline::replace`](crate::AnimatePipeline::replace).
    ///
    /// # Errors
    /// [`Error::Input`] where it was prepared by [`Preprocess::animate`](super::Preprocess::animate), without a background.
    pub fn scene(&self) -> Result<Scene> {
        let missing = || Error::Input("there is no background: prepare the video with `Preprocess::replace`".into());
        let Replaced { background, mask } = self.replaced.clone().ok_or_else(missing)?;
        Scene::new(self.motion()?, background, mask)
    }
}
