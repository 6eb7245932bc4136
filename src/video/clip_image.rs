//! What the CLIP vision tower is shown: the character image, resized, cropped and normalised.

use std::path::Path;

use image::{RgbImage, imageops};
use serde::Deserialize;

use super::{preprocess::planes, resize::Filter, resize::resize};
use crate::{Error, Result};

/// A checkpoint's `preprocessor_config.json`: how its CLIP image processor prepares an image.
///
/// What the file leaves out is as in the original CLIP: the short side to 224 (bicubic), the middle 224x224 of that, CLIP's
/// mean and deviation. The result is that of the processor's Pillow backend, which is also the only one without torchvision.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default)]
pub struct ClipImageConfig {
    /// Names the processor's class; anything but a CLIP one is refused.
    image_processor_type: String,
    do_resize: bool,
    size: Size,
    /// In Pillow's numbers: 0 nearest, 1 Lanczos, 2 bilinear, 3 bicubic.
    resample: u8,
    do_center_crop: bool,
    crop_size: Size,
    do_rescale: bool,
    rescale_factor: f64,
    do_normalize: bool,
    image_mean: [f32; 3],
    image_std: [f32; 3],
    do_pad: Option<bool>,
}

impl Default for ClipImageConfig {
    fn default() -> Self {
        Self {
            image_processor_type: "CLIPImageProcessor".into(),
            do_resize: true,
            size: Size::ShortestEdge { shortest_edge: 224 },
            resample: 3,
            do_center_crop: true,
            crop_size: Size::Exact { height: 224, width: 224 },
            do_rescale: true,
            rescale_factor: 1.0 / 255.0,
            do_normalize: true,
            image_mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
            image_std: [0.268_629_55, 0.261_302_6, 0.275_777_1],
            do_pad: None,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(untagged, deny_unknown_fields)]
enum Size {
    Exact {
        height: u32,
        width: u32,
    },
    ShortestEdge {
        shortest_edge: u32,
    },
    /// The short side of a resize, both sides of a crop.
    Number(u32),
}

/// More pixels than any CLIP tower takes; a very thin image would otherwise grow without bound as its short side is scaled up.
const MAX_PIXELS: u64 = 1 << 26;

impl ClipImageConfig {
    /// Reads the text of the configuration `file`, and refuses what this crate would not carry out exactly.
    pub fn from_json(file: &Path, json: &[u8]) -> Result<Self> {
        let config: Self = serde_json::from_slice(json).map_err(|e| Error::weights(file, e.to_string()))?;
        if !config.image_processor_type.starts_with("CLIPImageProcessor") {
            let message = format!("`image_processor_type` is {}, expected CLIPImageProcessor", config.image_processor_type);
            return Err(Error::weights(file, message));
        }
        if config.do_pad == Some(true) {
            return Err(Error::weights(file, "`do_pad` is not supported for a CLIP image processor"));
        }
        if config.image_std.iter().any(|&std| !std.is_normal()) || !config.rescale_factor.is_finite() {
            return Err(Error::weights(file, "`image_std` and `rescale_factor` must be finite, and no deviation 0"));
        }
        config.filter().map_err(|message| Error::weights(file, message))?;
        Ok(config)
    }

    fn filter(&self) -> Result<Filter, String> {
        match self.resample {
            0 => Ok(Filter::Nearest),
            1 => Ok(Filter::Lanczos),
            2 => Ok(Filter::Bilinear),
            3 => Ok(Filter::Bicubic),
            other => Err(format!("`resample` is {other}, expected 0 (nearest), 1 (Lanczos), 2 (bilinear) or 3 (bicubic)")),
        }
    }

    /// The width and height that an image of `width` x `height` is resized to.
    fn resized(&self, width: u32, height: u32) -> (u64, u64) {
        let short = match self.size {
            Size::Exact { height, width } => return (width.into(), height.into()),
            Size::ShortestEdge { shortest_edge: short } | Size::Number(short) => u64::from(short),
        };
        let long = |long: u32, of: u32| (short as f64 * f64::from(long) / f64::from(of.max(1))) as u64;
        if width <= height { (short, long(height, width)) } else { (long(width, height), short) }
    }

    fn crop(&self) -> Result<(u32, u32)> {
        match self.crop_size {
            Size::Exact { height, width } => Ok((width, height)),
            Size::Number(side) => Ok((side, side)),
            Size::ShortestEdge { .. } => Err(Error::Input("the CLIP image processor's `crop_size` needs a height and a width".into())),
        }
    }

    /// Whether the middle that it cuts out is what a vision tower takes, where it cuts one out.
    ///
    /// # Errors
    /// [`Error::Input`] where it is of another size.
    pub fn check_crop(&self, image_size: u32) -> Result<()> {
        if self.do_center_crop { check_size(self.crop()?, image_size) } else { Ok(()) }
    }

    fn number(&self, sample: u8, channel: usize) -> f32 {
        let mut value = f32::from(sample);
        if self.do_rescale {
            value = (f64::from(sample) * self.rescale_factor) as f32;
        }
        if self.do_normalize {
            value = (value - self.image_mean[channel]) / self.image_std[channel];
        }
        value
    }
}

/// The character image as a CLIP vision tower that takes `image_size` x `image_size` pixels wants it.
///
/// Returns `[3, image_size, image_size]`. Fails when the configuration makes another size, or the image has a side of 0 or is
/// so thin that resizing its short side makes it huge.
pub fn clip_image(image: &RgbImage, config: &ClipImageConfig, image_size: u32) -> Result<Vec<f32>> {
    let mut image = image.clone();
    if config.do_resize {
        let (width, height) = config.resized(image.width(), image.height());
        if width.saturating_mul(height) > MAX_PIXELS {
            let (w, h) = image.dimensions();
            return Err(Error::Input(format!("the reference image of {w}x{h} pixels is too thin; crop it or add a border")));
        }
        image = resize(&image, width as u32, height as u32, config.filter().map_err(Error::Input)?)?;
    }
    if config.do_center_crop {
        config.check_crop(image_size)?;
        image = center_crop(&image, config.crop()?);
    }
    check_size(image.dimensions(), image_size)?;
    Ok(planes(&image, |sample, channel| config.number(sample, channel)))
}

fn check_size((width, height): (u32, u32), image_size: u32) -> Result<()> {
    if (width, height) == (image_size, image_size) {
        return Ok(());
    }
    Err(Error::Input(format!(
        "the image processor makes {width}x{height} pixels, but the vision tower takes {image_size}x{image_size}: \
         `crop_size` in preprocessor_config.json and `image_size` in the image encoder's config.json disagree"
    )))
}

/// The middle `width` x `height` pixels. A side that is too short is filled up with black.
fn center_crop(image: &RgbImage, (width, height): (u32, u32)) -> RgbImage {
    // An odd remainder leaves the extra row or column at the end when cutting, and at the start when filling up.
    let offset = |own: u32, wanted: u32| (i64::from(wanted) - i64::from(own) + 1).div_euclid(2);
    let mut out = RgbImage::new(width, height);
    imageops::replace(&mut out, image, offset(image.width(), width), offset(image.height(), height));
    out
}
