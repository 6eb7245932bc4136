//! Where a person is in the frames of a video, as 133 points.

use std::ops::Range;

use crate::video::fps::Sampling;
use crate::video::official::Fit;
use crate::{Error, Result};

/// How many points a person has.
pub const NUM_KEYPOINTS: usize = 133;

const FACE: Range<usize> = 23..91;
const LEFT_HAND: Range<usize> = 91..112;
const RIGHT_HAND: Range<usize> = 112..133;

/// Places further away than this from any picture are taken for damage.
pub(super) const FARTHEST: f64 = 1e6;
const LARGEST_SIDE: u32 = 1 << 16;

/// One point: its place in pixels from the upper left corner, and how sure whoever found it is. Scores are not bound to [0, 1]: some
/// networks give more than 1. A point that was not found has a score of 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Keypoint {
    /// Pixels from the left.
    pub x: f64,
    /// Pixels from the top.
    pub y: f64,
    /// From 0 (not there) to about 1 (sure).
    pub score: f64,
}

/// One person in one frame: 133 points in the order of COCO-WholeBody. 0 to 16 are the body (nose, eyes, ears, shoulders, elbows, wrists,
/// hips, knees, ankles; left before right), 17 to 22 the feet, 23 to 90 the face, 91 to 111 the left hand, 112 to 132 the right one.
#[derive(Clone, Debug, PartialEq)]
pub struct WholeBody([Keypoint; NUM_KEYPOINTS]);

impl WholeBody {
    /// A person of these points.
    ///
    /// # Errors
    /// [`Error::Input`] unless there are 133.
    pub fn new(points: &[Keypoint]) -> Result<Self> {
        let wrong = |_| Error::Input(format!("a person has {} points; {NUM_KEYPOINTS} are needed (COCO-WholeBody)", points.len()));
        points.try_into().map(Self).map_err(wrong)
    }

    /// Nobody: all points at 0 with a score of 0.
    pub fn missing() -> Self {
        Self([Keypoint::default(); NUM_KEYPOINTS])
    }

    fn map(&self, change: impl Fn(&Keypoint) -> Keypoint) -> Self {
        Self(std::array::from_fn(|index| change(&self.0[index])))
    }

    /// All 133 points.
    pub fn points(&self) -> &[Keypoint; NUM_KEYPOINTS] {
        &self.0
    }

    /// All 133 points, to edit.
    pub fn points_mut(&mut self) -> &mut [Keypoint; NUM_KEYPOINTS] {
        &mut self.0
    }

    /// The 17 points of the body.
    pub fn body(&self) -> &[Keypoint] {
        &self.0[..17]
    }

    /// The 68 points of the face.
    pub fn face(&self) -> &[Keypoint] {
        &self.0[FACE]
    }

    /// The 21 points of the left hand.
    pub fn left_hand(&self) -> &[Keypoint] {
        &self.0[LEFT_HAND]
    }

    /// The 21 points of the right hand.
    pub fn right_hand(&self) -> &[Keypoint] {
        &self.0[RIGHT_HAND]
    }
}

/// One person in all frames of a video (or in one picture).
#[derive(Clone, Debug, PartialEq)]
pub struct Keypoints {
    width: u32,
    height: u32,
    fps: Option<f64>,
    frames: Vec<WholeBody>,
}

impl Keypoints {
    /// One person in the frames of a video of `width` x `height` pixels, at `fps` frames a second where that is known.
    ///
    /// # Errors
    /// [`Error::Input`] where there is no frame, a side is 0 or above 65536, the rate is not above 0, or a place or score is not a number or
    /// more than a million.
    pub fn new(width: u32, height: u32, fps: Option<f64>, frames: Vec<WholeBody>) -> Result<Self> {
        if ![width, height].iter().all(|side| (1..=LARGEST_SIDE).contains(side)) {
            return Err(Error::Input(format!("key points of a picture of {width}x{height} pixels: sides are 1 to {LARGEST_SIDE}")));
        }
        if let Some(fps) = fps.filter(|fps| !(fps.is_finite() && *fps > 0.0)) {
            return Err(Error::Input(format!("key points at {fps} frames a second: the rate must be above 0")));
        }
        if frames.is_empty() {
            return Err(Error::Input("key points need at least one frame".into()));
        }
        for (index, frame) in frames.iter().enumerate() {
            if let Some((point, at)) = frame.0.iter().enumerate().find(|(_, at)| !is_sound(at)) {
                let Keypoint { x, y, score } = at;
                let message = format!("frame {index}: point {point} is at ({x}, {y}) with a score of {score}");
                return Err(Error::Input(format!("{message}; numbers of at most a million are needed")));
            }
        }
        Ok(Self { width, height, fps, frames })
    }

    /// Width in pixels of the pictures in which they were found.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels of the pictures in which they were found.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Frames a second, where known.
    pub fn fps(&self) -> Option<f64> {
        self.fps
    }

    /// The person in each frame; at least one.
    pub fn frames(&self) -> &[WholeBody] {
        &self.frames
    }

    /// The same with other frames.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn with_frames(&self, frames: Vec<WholeBody>) -> Result<Self> {
        Self::new(self.width, self.height, self.fps, frames)
    }

    /// The same person in pictures stretched to `width` x `height` pixels, for key points that were found in smaller ones.
    ///
    /// # Errors
    /// [`Error::Input`] for a side of 0 or above 65536.
    pub fn resized(&self, width: u32, height: u32) -> Result<Self> {
        let (x, y) = (f64::from(width) / f64::from(self.width), f64::from(height) / f64::from(self.height));
        let frames = self.frames.iter().map(|frame| frame.map(|at| Keypoint { x: at.x * x, y: at.y * y, ..*at })).collect();
        Self::new(width, height, self.fps, frames)
    }

    /// Where the points are in a part of the picture that begins at `x` and `y`.
    pub(crate) fn cropped(&self, (x, y): (u32, u32), (width, height): (u32, u32)) -> Self {
        let moved = |at: &Keypoint| Keypoint { x: at.x - f64::from(x), y: at.y - f64::from(y), ..*at };
        let frames = self.frames.iter().map(|frame| frame.map(moved)).collect();
        Self { width, height, fps: self.fps, frames }
    }

    /// The frames that `sampling` takes.
    pub(super) fn sampled(&self, sampling: &Sampling) -> Self {
        let frames = (0..sampling.num_frames()).map(|index| self.frames[sampling.source(index)].clone()).collect();
        Self { frames, fps: Some(sampling.fps()), ..*self }
    }

    /// Where the points are once the picture has been fitted into a canvas of `width` x `height`.
    pub(super) fn fitted(&self, width: u32, height: u32) -> Self {
        if (width, height) == (self.width, self.height) {
            return self.clone();
        }
        let fit = Fit::new((self.width, self.height), (width, height));
        let (own_width, own_height) = (f64::from(self.width), f64::from(self.height));
        let moved = |at: &Keypoint| Keypoint {
            x: at.x * f64::from(fit.width) / own_width + f64::from(fit.x),
            y: at.y * f64::from(fit.height) / own_height + f64::from(fit.y),
            score: at.score,
        };
        let frames = self.frames.iter().map(|frame| frame.map(moved)).collect();
        Self { width, height, fps: self.fps, frames }
    }
}

fn is_sound(point: &Keypoint) -> bool {
    [point.x, point.y, point.score].iter().all(|number| number.abs() <= FARTHEST)
}
