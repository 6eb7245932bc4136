//! Masks of a whole video, a bit a pixel.

use image::{GrayImage, RgbImage};

use crate::error::{Error, Result};
use crate::preprocess::binary_mask;
use crate::video::{FrameSource, Frames};

/// White and black frames in memory.
#[derive(Debug)]
pub(crate) struct PackedMasks {
    size: (u32, u32),
    fps: Option<f64>,
    frames: Vec<Vec<u8>>,
}

impl PackedMasks {
    pub(crate) fn new(size: (u32, u32), fps: Option<f64>) -> Self {
        Self { size, fps, frames: Vec::new() }
    }

    /// White where red is above 127.
    ///
    /// # Errors
    /// Those of the frames.
    pub(crate) fn of(masks: &Frames) -> Result<Self> {
        let mut packed = Self::new(masks.size(), masks.fps());
        for index in 0..masks.num_frames() {
            packed.push(&binary_mask(&masks.read(index)?));
        }
        Ok(packed)
    }

    /// As [`bytes`](Self::bytes) has them; none where these are not as many as there should be.
    pub(crate) fn from_bytes(size: (u32, u32), fps: Option<f64>, count: usize, bytes: &[u8]) -> Option<Self> {
        let length = (size.0 as usize * size.1 as usize).div_ceil(8);
        let is_whole = length > 0 && length.checked_mul(count) == Some(bytes.len());
        is_whole.then(|| Self { size, fps, frames: bytes.chunks_exact(length).map(<[u8]>::to_vec).collect() })
    }

    /// All frames, one after another, each from a whole byte on.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.frames.concat()
    }

    /// Appends a mask, of the video's size.
    pub(crate) fn push(&mut self, mask: &GrayImage) {
        let pack = |pixels: &[u8]| pixels.iter().enumerate().fold(0, |byte, (bit, &pixel)| byte | u8::from(pixel > 127) << bit);
        self.frames.push(mask.as_raw().chunks(8).map(pack).collect());
    }
}

impl FrameSource for PackedMasks {
    fn num_frames(&self) -> usize {
        self.frames.len()
    }

    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn fps(&self) -> Option<f64> {
        self.fps
    }

    fn read(&self, index: usize) -> Result<RgbImage> {
        let (width, height) = self.size;
        let frame = self.frames.get(index).ok_or_else(|| Error::Input(format!("there is no mask {index}")))?;
        let is_set = |at: usize| frame.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1);
        let at = |x: u32, y: u32| y as usize * width as usize + x as usize;
        Ok(RgbImage::from_fn(width, height, |x, y| [if is_set(at(x, y)) { 255 } else { 0 }; 3].into()))
    }
}
