//! Images as the official code prepares them (`wan/animate.py`, `wan/modules/animate/clip.py` of Wan-Video/Wan2.2): by OpenCV and torch, where
//! diffusers uses Pillow.

use image::{RgbImage, imageops};

use super::{preprocess::planes, preprocess::signed_planes, resize::Filter, resize::resize};
use crate::{Error, Result};

/// Fractional bits of OpenCV's bilinear weights.
const BITS: u32 = 11;

/// CLIP's mean and deviation.
const MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

/// Keys' cubic, as torch has it.
const A: f64 = -0.75;

/// Where a picture lies on a canvas into which it is fitted: in the middle, as large as fits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fit {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) x: u32,
    pub(crate) y: u32,
}

impl Fit {
    /// A picture and a canvas of these widths and heights. A side can become 0.
    pub(crate) fn new((own_width, own_height): (u32, u32), (width, height): (u32, u32)) -> Self {
        let (w, h, own_w, own_h) = (f64::from(width), f64::from(height), f64::from(own_width), f64::from(own_height));
        // In the order of the original's operations: the last bit decides what is cut off.
        let (fit_width, fit_height) =
            if own_h / own_w > h / w { ((h / own_h * own_w) as u32, height) } else { (width, (w / own_w * own_h) as u32) };
        Self { width: fit_width, height: fit_height, x: (width - fit_width) / 2, y: (height - fit_height) / 2 }
    }
}

/// The character image on a `width` x `height` canvas: scaled to fit (`cv2.INTER_LINEAR`), centred, the rest black.
///
/// # Errors
/// [`Error::Input`] where the image is so thin that nothing of it would be left.
pub fn letterbox(image: &RgbImage, width: u32, height: u32) -> Result<RgbImage> {
    let fit = Fit::new(image.dimensions(), (width, height));
    Ok(place(&bilinear(image, fit.width, fit.height)?, fit, width, height))
}

/// A fitted picture on its canvas.
pub(crate) fn place(fitted: &RgbImage, fit: Fit, width: u32, height: u32) -> RgbImage {
    let mut canvas = RgbImage::new(width, height);
    imageops::replace(&mut canvas, fitted, fit.x.into(), fit.y.into());
    canvas
}

/// One frame of a mask video, stretched to `width` x `height`, its red taken. Returns `[1, height, width]` in [0, 1].
///
/// The official code takes masks of the video's size; others are stretched as in `video::preprocess`.
///
/// # Errors
/// [`Error::Input`] where a side is 0.
pub fn mask(image: &RgbImage, width: u32, height: u32) -> Result<Vec<f32>> {
    let resized = resize(image, width, height, Filter::Lanczos)?;
    Ok(resized.pixels().map(|pixel| f32::from(pixel.0[0]) / 255.0).collect())
}

/// What CLIP is shown of an image: all of it at `side` x `side` pixels, normalised. Returns `[3, side, side]`.
///
/// # Errors
/// As [`cubic`].
pub fn clip_image(image: &RgbImage, side: u32) -> Result<Vec<f32>> {
    let mut pixels = cubic(image, side, side)?;
    let count = (side * side) as usize;
    for (channel, plane) in pixels.chunks_mut(count).enumerate() {
        plane.iter_mut().for_each(|value| *value = ((f64::from(*value) * 0.5 + 0.5 - MEAN[channel]) / STD[channel]) as f32);
    }
    Ok(pixels)
}

/// An image at `width` x `height` pixels, in [-1, 1] and a little beyond: torch's bicubic interpolation, which does not look at more pixels
/// when it shrinks. Returns `[3, height, width]`.
///
/// # Errors
/// [`Error::Input`] where a side is 0.
pub fn cubic(image: &RgbImage, width: u32, height: u32) -> Result<Vec<f32>> {
    check_sides(image, width, height)?;
    let source = planes(image, |sample, _| f32::from(sample) / 127.5 - 1.0);
    let (own_width, own_height) = (image.width() as usize, image.height() as usize);
    let (columns, rows) = (cubic_taps(image.width(), width), cubic_taps(image.height(), height));
    let mut out = Vec::with_capacity(3 * (width * height) as usize);
    for plane in source.chunks(own_width * own_height) {
        for row in &rows {
            for column in &columns {
                let across = |y: usize| column.iter().map(|&(x, weight)| weight * f64::from(plane[y * own_width + x])).sum::<f64>();
                out.push(row.iter().map(|&(y, weight)| weight * across(y)).sum::<f64>() as f32);
            }
        }
    }
    Ok(out)
}

/// An image scaled to cover `width` x `height` (Pillow's Lanczos), and the middle of it: what TI2V begins with. Returns `[3, height, width]` in
/// [-1, 1].
///
/// # Errors
/// [`Error::Input`] where a side is 0, or the image so thin that scaling it takes over a gigabyte.
pub fn cover(image: &RgbImage, width: u32, height: u32) -> Result<Vec<f32>> {
    let (own_width, own_height) = (f64::from(image.width()), f64::from(image.height()));
    let scale = (f64::from(width) / own_width).max(f64::from(height) / own_height);
    let scaled = |side: f64| (side * scale).round_ties_even() as u32;
    let covering = resize(image, scaled(own_width), scaled(own_height), Filter::Lanczos)?;
    let (x, y) = ((covering.width() - width) / 2, (covering.height() - height) / 2);
    Ok(signed_planes(&imageops::crop_imm(&covering, x, y, width, height).to_image()))
}

/// For each output sample four source samples, those past the ends repeated, and their weights.
fn cubic_taps(source: u32, target: u32) -> Vec<[(usize, f64); 4]> {
    let scale = f64::from(source) / f64::from(target);
    let tap = |index: u32| {
        let position = (f64::from(index) + 0.5) * scale - 0.5;
        let t = position - position.floor();
        let near = |d: f64| ((A + 2.0) * d - (A + 3.0)) * d * d + 1.0;
        let far = |d: f64| ((A * d - 5.0 * A) * d + 8.0 * A) * d - 4.0 * A;
        let weights = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
        let place = |offset: usize| (position.floor() + offset as f64 - 1.0).clamp(0.0, f64::from(source - 1)) as usize;
        std::array::from_fn(|offset| (place(offset), weights[offset]))
    };
    (0..target).map(tap).collect()
}

/// An image stretched to `width` x `height` as `cv2.resize` does with `INTER_LINEAR` on bytes: two neighbours along each axis, whatever the
/// scale, in fixed point, whose lower bits are cut off between the axes.
pub(crate) fn bilinear(image: &RgbImage, width: u32, height: u32) -> Result<RgbImage> {
    check_sides(image, width, height)?;
    if (width, height) == image.dimensions() {
        return Ok(image.clone());
    }
    let (columns, rows) = (linear_taps(image.width(), width), linear_taps(image.height(), height));
    let mut samples = Vec::with_capacity(3 * width as usize * height as usize);
    // Of the two source rows that an output row is between, each made once as long as it is needed.
    let mut across: [(u32, Vec<i32>); 2] = [(u32::MAX, Vec::new()), (u32::MAX, Vec::new())];
    for [(above, upper), (below, lower)] in rows {
        if across[1].0 == above {
            across.swap(0, 1);
        }
        for (line, row) in across.iter_mut().zip([above, below]).filter(|(line, row)| line.0 != *row) {
            *line = (row, row_across(image, row, &columns));
        }
        // Of 22 bits 4 are cut off before the second weight, 16 after it, and 2 rounded.
        let between = |(a, b): (&i32, &i32)| ((((a >> 4) * upper) >> 16) + (((b >> 4) * lower) >> 16) + 2) >> 2;
        samples.extend(across[0].1.iter().zip(&across[1].1).map(|pair| between(pair).clamp(0, 255) as u8));
    }
    Ok(RgbImage::from_raw(width, height, samples).expect("as many samples as pixels"))
}

/// A source row between its columns, not rounded.
fn row_across(image: &RgbImage, row: u32, columns: &[[(u32, i32); 2]]) -> Vec<i32> {
    let len = 3 * image.width() as usize;
    let source = &image.as_raw()[row as usize * len..][..len];
    let sample = |x: u32, channel: usize| i32::from(source[3 * x as usize + channel]);
    let between =
        |[(left, a), (right, b)]: &[(u32, i32); 2]| [0, 1, 2].map(|channel| a * sample(*left, channel) + b * sample(*right, channel));
    columns.iter().flat_map(between).collect()
}

/// For each output sample its two neighbours, those past the ends repeated, and their weights in 11 bits.
fn linear_taps(source: u32, target: u32) -> Vec<[(u32, i32); 2]> {
    let scale = 1.0 / (f64::from(target) / f64::from(source));
    let tap = |index: u32| {
        let position = ((f64::from(index) + 0.5) * scale - 0.5) as f32;
        let first = position.floor();
        let place = |at: f32| at.clamp(0.0, (source - 1) as f32) as u32;
        let weight = |part: f32| (part * (1 << BITS) as f32).round_ties_even() as i32;
        let t = position - first;
        [(place(first), weight(1.0 - t)), (place(first + 1.0), weight(t))]
    };
    (0..target).map(tap).collect()
}

pub(crate) fn check_sides(image: &RgbImage, width: u32, height: u32) -> Result<()> {
    let (own_width, own_height) = image.dimensions();
    if [own_width, own_height, width, height].contains(&0) {
        return Err(Error::Input(format!(
            "cannot resize an image of {own_width}x{own_height} pixels to {width}x{height}: every side needs at least one pixel"
        )));
    }
    Ok(())
}
