//! One generated picture.

use image::{RgbImage, RgbaImage};

use crate::{Error, Result};

/// A generated frame: RGB, full precision. ([`RgbImage`] is what frames are on the way in.)
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    width: u32,
    height: u32,
    samples: Vec<f32>,
}

impl Frame {
    /// A frame from `[height, width, 3]` samples in [0, 1].
    ///
    /// # Errors
    /// [`Error::Input`] where their number does not fit the size, or the size is 0.
    pub fn new(width: u32, height: u32, samples: Vec<f32>) -> Result<Self> {
        if width == 0 || height == 0 || samples.len() as u64 != 3 * u64::from(width) * u64::from(height) {
            let message = format!("{} samples do not make a frame of {width}x{height} pixels with 3 channels", samples.len());
            return Err(Error::Input(message));
        }
        Ok(Self { width, height, samples })
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The samples, `[height, width, 3]` in [0, 1].
    pub fn samples(&self) -> &[f32] {
        &self.samples
    }

    /// The samples as they are.
    pub fn into_samples(self) -> Vec<f32> {
        self.samples
    }

    /// The frame in 8 bits with an opaque alpha, rounded as in [`to_rgb8`](Self::to_rgb8).
    pub fn to_rgba8(&self) -> RgbaImage {
        let pixels = self.samples.as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [level(r), level(g), level(b), 255]).collect();
        RgbaImage::from_raw(self.width, self.height, pixels).expect("`new` checked the number of samples")
    }

    /// The frame in 8 bits, rounded to the nearest level (a tie to the even one).
    pub fn to_rgb8(&self) -> RgbImage {
        let samples = self.samples.iter().map(|&sample| level(sample)).collect();
        RgbImage::from_raw(self.width, self.height, samples).expect("`new` checked the number of samples")
    }
}

fn level(sample: f32) -> u8 {
    (sample * 255.0).round_ties_even() as u8
}

impl From<&RgbImage> for Frame {
    fn from(image: &RgbImage) -> Self {
        let samples = image.as_raw().iter().map(|&sample| f32::from(sample) / 255.0).collect();
        Self { width: image.width(), height: image.height(), samples }
    }
}
