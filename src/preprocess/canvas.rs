//! The size at which a video is generated, and pictures brought to it.

use image::RgbImage;

use super::area::shrink;
use crate::video::official::{Fit, bilinear, place};
use crate::{Error, Result};

/// The model's sizes are multiples of this.
const DIVISOR: f64 = 16.0;
/// No canvas has more pixels: 8192 x 8192.
const LARGEST: u64 = 1 << 26;

/// The size of about `area` pixels in the aspect of a picture of `width` x `height`: both sides are rounded down to multiples of 16.
///
/// # Errors
/// [`Error::Input`] where a side of the picture is 0, the area above 67 million, or nothing is left of a side.
pub fn area_size(width: u32, height: u32, area: u64) -> Result<(u32, u32)> {
    if width == 0 || height == 0 || area > LARGEST {
        let message = format!("a picture of {width}x{height} pixels cannot be brought to {area}; give 256 to {LARGEST}");
        return Err(Error::Input(message));
    }
    let aspect = f64::from(width) / f64::from(height);
    let new_height = (area as f64 / aspect).sqrt();
    let new_width = area as f64 / new_height;
    let floored = |side: f64| ((side / DIVISOR).floor() * DIVISOR) as u32;
    match (floored(new_width), floored(new_height)) {
        (0, _) | (_, 0) => {
            let message = format!("a picture of {width}x{height} pixels at {area} pixels would have a side below 16; give a larger area");
            Err(Error::Input(message))
        }
        size => Ok(size),
    }
}

/// `image` fitted into a canvas of `width` x `height` pixels, the rest black: the mean of what each pixel covers where the canvas has fewer
/// pixels (`cv2.INTER_AREA`), else between neighbours (`cv2.INTER_LINEAR`).
///
/// # Errors
/// [`Error::Input`] where nothing would be left of a side.
pub fn fit_canvas(image: &RgbImage, width: u32, height: u32) -> Result<RgbImage> {
    if image.dimensions() == (width, height) {
        return Ok(image.clone());
    }
    let pixels = |width: u32, height: u32| u64::from(width) * u64::from(height);
    let fit = Fit::new(image.dimensions(), (width, height));
    let fitted = match pixels(width, height) < pixels(image.width(), image.height()) {
        true => shrink(image, fit.width, fit.height)?,
        false => bilinear(image, fit.width, fit.height)?,
    };
    Ok(place(&fitted, fit, width, height))
}
