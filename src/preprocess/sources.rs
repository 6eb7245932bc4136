//! The videos that are made of a preprocessed one, frame by frame as they are read.

use std::sync::Arc;

use image::{GrayImage, RgbImage};

use super::canvas::fit_canvas;
use super::draw::draw_pose;
use super::face::{FACE_SIZE, FaceBox, crop_face};
use super::keypoints::Keypoints;
use super::mask::{MaskGrowth, binary_mask, cut_out, without_holes, without_islands};
use super::overlay::{Shown, draw_overlay};
use super::report::Report;
use super::skeleton::Skeleton;
use crate::count::count;
use crate::video::official::letterbox;
use crate::video::{FrameSource, Frames};
use crate::{Error, Result};

/// A video fitted into a canvas.
pub(super) struct Fitted {
    pub(super) video: Frames,
    pub(super) size: (u32, u32),
}

impl FrameSource for Fitted {
    fn num_frames(&self) -> usize {
        self.video.num_frames()
    }

    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn fps(&self) -> Option<f64> {
        self.video.fps()
    }

    fn read(&self, index: usize) -> Result<RgbImage> {
        fit_canvas(&self.video.read(index)?, self.size.0, self.size.1)
    }
}

/// Pose drawings: drawn at one size, then fitted into another.
pub(super) struct Poses {
    pub(super) skeletons: Vec<Skeleton>,
    pub(super) drawn: (u32, u32),
    pub(super) size: (u32, u32),
    pub(super) fps: Option<f64>,
}

impl FrameSource for Poses {
    fn num_frames(&self) -> usize {
        self.skeletons.len()
    }

    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn fps(&self) -> Option<f64> {
        self.fps
    }

    fn read(&self, index: usize) -> Result<RgbImage> {
        let skeleton = self.skeletons.get(index).ok_or_else(|| past_the_end(index, self.skeletons.len()))?;
        let drawing = draw_pose(skeleton, self.drawn.0, self.drawn.1);
        letterbox(&drawing, self.size.0, self.size.1)
    }
}

/// Face crops.
pub(super) struct Faces {
    pub(super) video: Frames,
    pub(super) boxes: Arc<Vec<FaceBox>>,
}

impl FrameSource for Faces {
    fn num_frames(&self) -> usize {
        self.boxes.len()
    }

    fn size(&self) -> (u32, u32) {
        (FACE_SIZE, FACE_SIZE)
    }

    fn fps(&self) -> Option<f64> {
        self.video.fps()
    }

    fn read(&self, index: usize) -> Result<RgbImage> {
        let at = self.boxes.get(index).ok_or_else(|| past_the_end(index, self.boxes.len()))?;
        crop_face(&self.video.read(index)?, *at)
    }
}

/// The masks of the person: a video of them, or one picture for all frames.
#[derive(Clone)]
pub(super) struct Masks {
    pub(super) video: Frames,
    pub(super) least_island: f64,
    pub(super) largest_hole: f64,
}

impl Masks {
    pub(super) fn read(&self, index: usize) -> Result<GrayImage> {
        let mask = binary_mask(&self.video.read(if self.video.num_frames() == 1 { 0 } else { index })?);
        let mask = if self.least_island > 0.0 { without_islands(&mask, self.least_island) } else { mask };
        Ok(if self.largest_hole > 0.0 { without_holes(&mask, self.largest_hole) } else { mask })
    }
}

/// What the masks become, or the video without it.
pub(super) struct Grown {
    pub(super) video: Frames,
    pub(super) masks: Masks,
    pub(super) growth: MaskGrowth,
    pub(super) cut_out: bool,
}

impl FrameSource for Grown {
    fn num_frames(&self) -> usize {
        self.video.num_frames()
    }

    fn size(&self) -> (u32, u32) {
        self.video.size()
    }

    fn fps(&self) -> Option<f64> {
        self.video.fps()
    }

    fn read(&self, index: usize) -> Result<RgbImage> {
        if index >= self.num_frames() {
            return Err(past_the_end(index, self.num_frames()));
        }
        let mask = self.growth.apply(&self.masks.read(index)?)?;
        if self.cut_out {
            return Ok(cut_out(&self.video.read(index)?, &mask));
        }
        Ok(RgbImage::from_fn(mask.width(), mask.height(), |x, y| [mask.get_pixel(x, y).0[0]; 3].into()))
    }
}

/// The video with what was found drawn on it.
pub(super) struct Overlay {
    pub(super) video: Frames,
    pub(super) keypoints: Arc<Keypoints>,
    pub(super) faces: Arc<Vec<FaceBox>>,
    pub(super) masks: Option<Masks>,
    pub(super) report: Arc<Report>,
}

impl FrameSource for Overlay {
    fn num_frames(&self) -> usize {
        self.video.num_frames()
    }

    fn size(&self) -> (u32, u32) {
        self.video.size()
    }

    fn fps(&self) -> Option<f64> {
        self.video.fps()
    }

    fn read(&self, index: usize) -> Result<RgbImage> {
        let mut frame = self.video.read(index)?;
        let mask = self.masks.as_ref().map(|masks| masks.read(index)).transpose()?;
        let found = &self.report.frames()[index];
        let flagged = found.flags.iter().any(|flag| flag.spoils());
        let person = &self.keypoints.frames()[index];
        draw_overlay(&mut frame, &Shown { person, person_box: found.person, face: self.faces[index], mask: mask.as_ref(), flagged });
        Ok(frame)
    }
}

fn past_the_end(index: usize, num_frames: usize) -> Error {
    Error::Input(format!("frame {index} was asked for, but the video has {}", count(num_frames, "frame")))
}
