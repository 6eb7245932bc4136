//! Whose rules prepare images: a checkpoint in the layout of diffusers follows its pipelines, the official release the official code.

use std::borrow::Cow;

use image::RgbImage;

use crate::error::Result;
use crate::video::{official, preprocess};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    Diffusers,
    Official,
}

impl Rules {
    /// The character image on the video's canvas, on black.
    pub fn letterbox(self, image: &RgbImage, width: u32, height: u32) -> Result<RgbImage> {
        match self {
            Self::Diffusers => preprocess::letterbox(image, width, height),
            Self::Official => official::letterbox(image, width, height),
        }
    }

    /// Which image CLIP is shown of the character: the image itself, or its canvas.
    pub fn shown_to_clip<'a>(self, image: &'a RgbImage, width: u32, height: u32) -> Result<Cow<'a, RgbImage>> {
        match self {
            Self::Diffusers => Ok(Cow::Borrowed(image)),
            Self::Official => official::letterbox(image, width, height).map(Cow::Owned),
        }
    }

    /// The character mask of a frame, `[1, height, width]` in [0, 1].
    pub fn mask(self, image: &RgbImage, width: u32, height: u32) -> Result<Vec<f32>> {
        match self {
            Self::Diffusers => preprocess::mask(image, width, height),
            Self::Official => official::mask(image, width, height),
        }
    }

    /// The image that TI2V's video begins with, at the video's size: `[3, height, width]` in [-1, 1].
    pub fn first_frame(self, image: &RgbImage, width: u32, height: u32) -> Result<Vec<f32>> {
        match self {
            Self::Diffusers => preprocess::frame(image, width, height),
            Self::Official => official::cover(image, width, height),
        }
    }

    /// An image that I2V's video begins or ends with, stretched to the video's size: `[3, height, width]` in [-1, 1].
    pub fn still(self, image: &RgbImage, width: u32, height: u32) -> Result<Vec<f32>> {
        match self {
            Self::Diffusers => preprocess::frame(image, width, height),
            Self::Official => official::cubic(image, width, height),
        }
    }
}
