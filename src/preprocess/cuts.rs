//! Where a video cuts to another take.

use image::RgbImage;

use super::keypoints::Keypoints;
use super::person_box::PersonBox;
use crate::Result;
use crate::video::Frames;

/// Mean difference of luma, of 0 to 1, from which on two frames are two takes.
const LUMA: f64 = 0.25;
/// Overlap of a person's boxes below which two frames are two takes.
const OVERLAP: f64 = 0.1;
/// Pixels looked at along each axis.
const PROBES: u32 = 64;

/// The frames that begin a take, without the first one, by their pictures and by the person's boxes. Reads the whole video.
pub(super) fn find_cuts(video: &Frames, keypoints: &Keypoints) -> Result<Vec<usize>> {
    let boxes: Vec<_> = keypoints.frames().iter().map(PersonBox::of).collect();
    let mut cuts = Vec::new();
    let mut last = luma(&video.read(0)?);
    for index in 1..video.num_frames() {
        let own = luma(&video.read(index)?);
        let difference = difference(&last, &own);
        let jump = matches!((boxes[index - 1], boxes[index]), (Some(a), Some(b)) if a.iou(&b) < OVERLAP);
        if difference > LUMA || jump {
            cuts.push(index);
        }
        last = own;
    }
    Ok(cuts)
}

/// Whether the second of two pictures begins another take, by itself.
pub(crate) fn is_cut(before: &RgbImage, after: &RgbImage) -> bool {
    difference(&luma(before), &luma(after)) > LUMA
}

fn difference(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>() / b.len() as f64
}

/// A coarse grid of a picture's luma, 0 to 1.
fn luma(image: &RgbImage) -> Vec<f64> {
    let at = |index: u32, side: u32| (u64::from(2 * index + 1) * u64::from(side) / u64::from(2 * PROBES)) as u32;
    let places = (0..PROBES).flat_map(|y| (0..PROBES).map(move |x| (x, y)));
    places
        .map(|(x, y)| {
            let [r, g, b] = image.get_pixel(at(x, image.width()), at(y, image.height())).0.map(f64::from);
            (0.299 * r + 0.587 * g + 0.114 * b) / 255.0
        })
        .collect()
}

/// The takes of `num_frames` frames: ranges between the cuts.
pub(super) fn takes(cuts: &[usize], num_frames: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain(std::iter::once(num_frames));
    starts.zip(ends).map(|(start, end)| start..end)
}
