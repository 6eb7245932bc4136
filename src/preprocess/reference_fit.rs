//! The character image in the aspect that is generated.

use std::borrow::Cow;

use image::{RgbImage, imageops};

use super::keypoints::Keypoints;

/// How the character image is brought to the aspect of what is generated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum ReferenceFit {
    /// All of it is shown, on black, as in Wan2.2's own preprocessing.
    #[default]
    Letterbox,
    /// What is too wide or too high is cut off on both sides.
    CentreCrop,
}

impl ReferenceFit {
    /// What is shown of a picture on a canvas.
    pub(crate) fn shown<'a>(self, image: &'a RgbImage, canvas: (u32, u32)) -> Cow<'a, RgbImage> {
        match self {
            Self::Letterbox => Cow::Borrowed(image),
            Self::CentreCrop => {
                let ((x, y), (width, height)) = middle(image.dimensions(), canvas);
                Cow::Owned(imageops::crop_imm(image, x, y, width, height).to_image())
            }
        }
    }

    /// Key points of the picture, in what is shown of it.
    pub(crate) fn keypoints(self, keypoints: &Keypoints, canvas: (u32, u32)) -> Keypoints {
        match self {
            Self::Letterbox => keypoints.clone(),
            Self::CentreCrop => {
                let (corner, size) = middle((keypoints.width(), keypoints.height()), canvas);
                keypoints.cropped(corner, size)
            }
        }
    }
}

/// Corner and size of the largest part in the middle of a picture that has a canvas' aspect, to the pixel.
fn middle((width, height): (u32, u32), canvas: (u32, u32)) -> ((u32, u32), (u32, u32)) {
    let scaled = |side: u32, by: u32, of: u32| ((f64::from(side) * f64::from(by) / f64::from(of.max(1))).round() as u32).max(1);
    let size = (scaled(height, canvas.0, canvas.1).min(width), scaled(width, canvas.1, canvas.0).min(height));
    (((width - size.0) / 2, (height - size.1) / 2), size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_has_the_aspect() {
        assert_eq!(middle((100, 50), (10, 10)), ((25, 0), (50, 50)));
        assert_eq!(middle((50, 101), (10, 10)), ((0, 25), (50, 50)));
        assert_eq!(middle((64, 48), (832, 480)), ((0, 5), (64, 37)));
        assert_eq!(middle((1, 1000), (8192, 16)), ((0, 499), (1, 1)));
    }
}
