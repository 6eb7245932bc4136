//! From 8-bit images to the numbers that the models take, as the diffusers pipeline of Wan-Animate makes them.
//! Every result is planar: all of one channel, row by row, then the next.

use image::{RgbImage, imageops};

use super::{resize::Filter, resize::resize};
use crate::Result;

/// The character image on a `width` x `height` canvas: scaled to fit, centred, the rest black. Never cropped.
///
/// The filter is Lanczos: diffusers 0.42 asks for bilinear, but its image processor forgets that and takes its default.
///
/// Returns `[3, height, width]` in [-1, 1]. Fails when a side is 0 or so thin that nothing of it would be left.
pub fn reference(image: &RgbImage, width: u32, height: u32) -> Result<Vec<f32>> {
    Ok(signed_planes(&letterbox(image, width, height)?))
}

/// One frame of a pose or background video, stretched to `width` x `height` (Lanczos).
///
/// Returns `[3, height, width]` in [-1, 1]. Fails when a side is 0. A face frame is the same with the motion encoder's size
/// for both sides.
pub fn frame(image: &RgbImage, width: u32, height: u32) -> Result<Vec<f32>> {
    Ok(signed_planes(&resize(image, width, height, Filter::Lanczos)?))
}

/// One frame of a mask video, stretched to `width` x `height` (Lanczos), its luma taken. White is where the character
/// goes; grey stays grey.
///
/// Returns `[1, height, width]` in [0, 1]. Fails when a side is 0.
pub fn mask(image: &RgbImage, width: u32, height: u32) -> Result<Vec<f32>> {
    let resized = resize(image, width, height, Filter::Lanczos)?;
    Ok(resized.pixels().map(|pixel| f32::from(luma(pixel.0)) / 255.0).collect())
}

/// Rec. 601 luma in 16-bit fixed point, as Pillow rounds it.
fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16) as u8
}

/// The image of [`reference()`].
///
/// # Errors
/// As there.
pub fn letterbox(image: &RgbImage, width: u32, height: u32) -> Result<RgbImage> {
    let fitted = fitted(image, width, height, Filter::Lanczos)?;
    let at = (width / 2 - fitted.width() / 2, height / 2 - fitted.height() / 2);
    Ok(on_black(&fitted, width, height, at))
}

/// An image on a `width` x `height` canvas as in Animate-2: as in [`letterbox`], but by another filter, and where half of what is left over ends in
/// half a pixel, that much further left and up.
///
/// # Errors
/// As there.
pub fn centred(image: &RgbImage, width: u32, height: u32, filter: Filter) -> Result<RgbImage> {
    let fitted = fitted(image, width, height, filter)?;
    let at = ((width - fitted.width()) / 2, (height - fitted.height()) / 2);
    Ok(on_black(&fitted, width, height, at))
}

fn on_black(image: &RgbImage, width: u32, height: u32, (x, y): (u32, u32)) -> RgbImage {
    let mut out = RgbImage::new(width, height);
    imageops::replace(&mut out, image, i64::from(x), i64::from(y));
    out
}

/// An image as large as fits.
fn fitted(image: &RgbImage, width: u32, height: u32, filter: Filter) -> Result<RgbImage> {
    let scaled = |side: u32, by: u32, of: u32| (u64::from(side) * u64::from(by) / u64::from(of.max(1))) as u32;
    let (canvas, own) = (f64::from(width) / f64::from(height), f64::from(image.width()) / f64::from(image.height()));
    let (fit_width, fit_height) = if canvas < own {
        (width, scaled(image.height(), width, image.width()))
    } else {
        (scaled(image.width(), height, image.height()), height)
    };
    resize(image, fit_width, fit_height, filter)
}

/// An image's planes `[3, height, width]` in [-1, 1].
pub fn signed_planes(image: &RgbImage) -> Vec<f32> {
    planes(image, |sample, _| 2.0 * (f32::from(sample) / 255.0) - 1.0)
}

/// Interleaved samples to planes, each sample mapped with its channel's number.
pub(super) fn planes(image: &RgbImage, map: impl Fn(u8, usize) -> f32) -> Vec<f32> {
    (0..3).flat_map(|channel| image.pixels().map(move |pixel| (pixel.0[channel], channel))).map(|(s, c)| map(s, c)).collect()
}
