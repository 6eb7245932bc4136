//! Where the face is cut out.

use std::ops::Range;

use image::{RgbImage, imageops};

use super::cuts::takes;
use super::keypoints::{Keypoints, WholeBody};
use super::one_euro;
use super::person_box::{PersonBox, SURE};
use crate::video::official::bilinear;
use crate::{Error, Result};

/// Width and height of a face crop, in pixels.
pub const FACE_SIZE: u32 = 512;

/// By how much the area of the face's points grows.
const GROWTH: f64 = 1.3;
/// For how many frames a lost face is taken to be where it was last.
const HELD: usize = 8;
/// Frames a second where nobody knows.
const DEFAULT_FPS: f64 = 30.0;

/// How the box around a face is chosen in each frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum FaceCrop {
    /// As Wan2.2's own preprocessing does: around the 68 points, whatever their scores, 1.3 times their area, more of it above than below.
    #[default]
    Official,
    /// The official box with sides of so many times its own, 1 to 4; 1.3 to 1.5 for crops that cut off brows or chin.
    Padded(f64),
    /// The official box, its centre and sides smoothed over each take.
    Smoothed,
    /// A box of one size, that of the largest official one, its centre smoothed over each take.
    Constant,
}

impl FaceCrop {
    pub(super) fn check(self) -> Result<()> {
        match self {
            Self::Padded(factor) if !(1.0..=4.0).contains(&factor) => {
                Err(Error::Input(format!("a face box padded by {factor} is not possible; give 1 to 4")))
            }
            _ => Ok(()),
        }
    }
}

/// A box in whole pixels: columns `x1` to `x2`, rows `y1` to `y2`, the latter of each not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaceBox {
    /// Left edge.
    pub x1: i32,
    /// Right edge.
    pub x2: i32,
    /// Upper edge.
    pub y1: i32,
    /// Lower edge.
    pub y2: i32,
}

impl FaceBox {
    fn is_empty(self) -> bool {
        self.x1 < 0 || self.y1 < 0 || self.x2 <= self.x1 || self.y2 <= self.y1
    }
}

/// Where the box of a frame comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaceFrom {
    /// The frame's own points.
    Points,
    /// The last frame that had a face.
    Before,
    /// Nothing: the middle of the picture.
    Centre,
}

/// The box that Wan2.2's own preprocessing takes in a picture of `width` x `height` pixels. None where it fails, because the points have
/// no extent. It can be empty or lie outside, where the face does.
pub fn official_face_box(person: &WholeBody, width: u32, height: u32) -> Option<FaceBox> {
    let (width, height) = (f64::from(width), f64::from(height));
    let xs = || person.face().iter().map(|at| at.x / width * width);
    let ys = || person.face().iter().map(|at| at.y / height * height);
    let (x1, x2) = (xs().fold(f64::INFINITY, f64::min), xs().fold(f64::NEG_INFINITY, f64::max));
    let (y1, y2) = (ys().fold(f64::INFINITY, f64::min), ys().fold(f64::NEG_INFINITY, f64::max));
    let (w, h) = (x2 - x1, y2 - y1);
    let area = w * h * GROWTH;
    let (new_w, new_h) = ((area * (w / h)).sqrt(), (area * (h / w)).sqrt());
    if new_w.is_nan() || new_h.is_nan() {
        return None;
    }
    let (dw, dh) = ((new_w - w) / 2.0, (new_h - h) / 4.0);
    Some(FaceBox {
        x1: (x1 - dw).max(0.0) as i32,
        x2: (x2 + dw).min(width) as i32,
        y1: (y1 - 3.0 * dh).max(0.0) as i32,
        y2: (y2 + dh).min(height) as i32,
    })
}

/// What a frame shows in `at`, at 512x512 pixels, its aspect not kept.
///
/// # Errors
/// [`Error::Input`] where the box is empty or not within the frame.
pub fn crop_face(frame: &RgbImage, at: FaceBox) -> Result<RgbImage> {
    let FaceBox { x1, x2, y1, y2 } = at;
    let (width, height) = frame.dimensions();
    if at.is_empty() || x2 as u32 > width || y2 as u32 > height {
        let message = format!("columns {x1} to {x2}, rows {y1} to {y2} are no part of a picture of {width}x{height} pixels");
        return Err(Error::Input(message));
    }
    let crop = imageops::crop_imm(frame, x1 as u32, y1 as u32, (x2 - x1) as u32, (y2 - y1) as u32).to_image();
    bilinear(&crop, FACE_SIZE, FACE_SIZE)
}

/// A box for each frame, never empty.
pub(super) fn face_boxes(keypoints: &Keypoints, crop: FaceCrop, cuts: &[usize]) -> Vec<(FaceBox, FaceFrom)> {
    let (width, height) = (keypoints.width(), keypoints.height());
    let find = |person: &WholeBody| {
        let seen = crop == FaceCrop::Official || mean_score(person) >= SURE;
        official_face_box(person, width, height).filter(|found| seen && !found.is_empty())
    };
    let mut found: Vec<Option<FaceBox>> = keypoints.frames().iter().map(find).collect();
    let largest = largest(&found);
    let runs: Vec<Range<usize>> = takes(cuts, found.len()).flat_map(|take| runs(&found, take)).collect();
    for run in runs {
        let boxes: Vec<FaceBox> = found[run.clone()].iter().copied().flatten().collect();
        let changed = reshape(&boxes, crop, largest, keypoints);
        found[run].iter_mut().zip(changed).for_each(|(slot, own)| *slot = Some(own));
    }
    takes(cuts, found.len()).flat_map(|take| hold(&found[take], centre_box(width, height))).collect()
}

pub(super) fn mean_score(person: &WholeBody) -> f64 {
    person.face().iter().map(|at| at.score).sum::<f64>() / person.face().len() as f64
}

/// The largest width and height of any box.
fn largest(boxes: &[Option<FaceBox>]) -> (f64, f64) {
    let sides = boxes.iter().flatten().map(|found| (f64::from(found.x2 - found.x1), f64::from(found.y2 - found.y1)));
    sides.fold((1.0, 1.0), |(w, h), (own_w, own_h)| (own_w.max(w), own_h.max(h)))
}

/// Frames after one another that have a face.
fn runs(found: &[Option<FaceBox>], take: Range<usize>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for index in take.filter(|&index| found[index].is_some()) {
        match runs.last_mut().filter(|run| run.end == index) {
            Some(run) => run.end = index + 1,
            None => runs.push(index..index + 1),
        }
    }
    runs
}

/// The boxes of a run of frames as `crop` wants them.
fn reshape(boxes: &[FaceBox], crop: FaceCrop, largest: (f64, f64), keypoints: &Keypoints) -> Vec<FaceBox> {
    let [x, y, w, h] = tracks(boxes);
    let calm = |track: Vec<f64>| one_euro::smooth(&track, largest.0.max(largest.1), keypoints.fps().unwrap_or(DEFAULT_FPS));
    let [x, y, w, h] = match crop {
        FaceCrop::Official => return boxes.to_vec(),
        FaceCrop::Padded(factor) => [x, y, w.iter().map(|side| side * factor).collect(), h.iter().map(|side| side * factor).collect()],
        FaceCrop::Smoothed => [x, y, w, h].map(calm),
        FaceCrop::Constant => [calm(x), calm(y), vec![largest.0; boxes.len()], vec![largest.1; boxes.len()]],
    };
    let box_of = |index: usize| {
        let (x1, x2) = span(x[index], w[index], keypoints.width(), crop == FaceCrop::Constant);
        let (y1, y2) = span(y[index], h[index], keypoints.height(), crop == FaceCrop::Constant);
        FaceBox { x1, x2, y1, y2 }
    };
    (0..boxes.len()).map(box_of).collect()
}

/// The boxes' centres and sides over time: x, y, width, height.
fn tracks(boxes: &[FaceBox]) -> [Vec<f64>; 4] {
    let track = |part: fn(&FaceBox) -> f64| boxes.iter().map(part).collect();
    [
        track(|own| f64::from(own.x1 + own.x2) / 2.0),
        track(|own| f64::from(own.y1 + own.y2) / 2.0),
        track(|own| f64::from(own.x2 - own.x1)),
        track(|own| f64::from(own.y2 - own.y1)),
    ]
}

/// A side of a box around `centre` within 0 to `limit`: cut off at the edges, or moved inwards to keep its length. At least a pixel.
fn span(centre: f64, side: f64, limit: u32, keep_size: bool) -> (i32, i32) {
    let limit = f64::from(limit);
    let (side, mut start) = (side.clamp(1.0, limit), centre - side / 2.0);
    if keep_size {
        start = start.round().clamp(0.0, limit - side);
        return (start as i32, (start + side.floor()) as i32);
    }
    let end = (centre + side / 2.0).round().clamp(1.0, limit);
    (start.round().clamp(0.0, end - 1.0) as i32, end as i32)
}

/// What stands in for lost faces within a take.
fn hold(found: &[Option<FaceBox>], centre: FaceBox) -> Vec<(FaceBox, FaceFrom)> {
    let mut last: Option<(FaceBox, usize)> = None;
    let choose = |(index, own): (usize, &Option<FaceBox>)| {
        if let Some(own) = own {
            last = Some((*own, index));
            return (*own, FaceFrom::Points);
        }
        match last.filter(|(_, since)| index - since <= HELD) {
            Some((before, _)) => (before, FaceFrom::Before),
            None => (centre, FaceFrom::Centre),
        }
    };
    found.iter().enumerate().map(choose).collect()
}

/// A square of half the shorter side in the middle.
fn centre_box(width: u32, height: u32) -> FaceBox {
    let (width, height) = (width as i32, height as i32);
    let side = (width.min(height) / 2).max(1);
    let (x1, y1) = ((width - side) / 2, (height - side) / 2);
    FaceBox { x1, x2: x1 + side, y1, y2: y1 + side }
}

impl From<FaceBox> for PersonBox {
    fn from(own: FaceBox) -> Self {
        Self { x1: own.x1.into(), x2: own.x2.into(), y1: own.y1.into(), y2: own.y2.into() }
    }
}
