//! Reading one picture file as 8-bit RGB.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};

use super::ffmpeg;
use super::kind::Kind;
use crate::{Error, Result};

/// A picture larger than this, decoded, is taken for a bomb.
pub(super) const MAX_BYTES: u64 = 1 << 30;

/// Reads a PNG, JPEG, WebP or GIF file (the first picture of it), whatever its name says, turned upright by its EXIF
/// orientation. Other formats, such as AVIF, go through the program `ffmpeg` where [`Frames::open`](super::Frames::open) would.
///
/// Alpha is dropped, not blended, grey is repeated, and of 16-bit samples the upper byte is kept, all as in Pillow's
/// `convert("RGB")` (which however cuts 16-bit grey off at 255).
///
/// # Errors
/// [`Error::Input`] where the file is damaged, or too large to be a picture; [`Error::Unsupported`] where it is of a kind that is not read, with
/// the command that converts it; [`Error::Io`] where it cannot be read.
pub fn open_image(path: impl AsRef<Path>) -> Result<RgbImage> {
    let path = path.as_ref();
    if let Kind::Other(name) = Kind::of(path)? {
        return ffmpeg::open(path, &format!("{name}, which is not read"), ffmpeg::PICTURE)?.read(0);
    }
    let reader = reader(path)?;
    let refused = |e: image::ImageError| Error::Input(format!("{}: {e}; save it again as PNG or JPEG", path.display()));
    if reader.format() == Some(ImageFormat::Jpeg) && !is_whole_jpeg(open(path)?).map_err(Error::io(path))? {
        return Err(Error::Input(format!("{}: the JPEG file is cut short", path.display())));
    }
    let mut decoder = reader.into_decoder().map_err(refused)?;
    if decoder.total_bytes() > MAX_BYTES {
        let (width, height) = decoder.dimensions();
        return Err(Error::Input(format!("{}: {width}x{height} pixels are too many; make it smaller", path.display())));
    }
    let orientation = decoder.orientation().map_err(refused)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(refused)?;
    image.apply_orientation(orientation);
    Ok(to_rgb(image))
}

/// Width and height of a picture file, upright, without decoding it.
pub(super) fn dimensions(path: &Path) -> Result<(u32, u32)> {
    let refused = |e: image::ImageError| Error::Input(format!("{}: {e}", path.display()));
    let mut decoder = reader(path)?.into_decoder().map_err(refused)?;
    let (width, height) = decoder.dimensions();
    use image::metadata::Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    let turned = matches!(decoder.orientation().map_err(refused)?, Rotate90 | Rotate90FlipH | Rotate270 | Rotate270FlipH);
    Ok(if turned { (height, width) } else { (width, height) })
}

pub(super) fn open(path: &Path) -> Result<BufReader<File>> {
    File::open(path).map(BufReader::new).map_err(Error::io(path))
}

fn reader(path: &Path) -> Result<ImageReader<BufReader<File>>> {
    if !matches!(Kind::of(path)?, Kind::Picture(_)) {
        return Err(Error::Input(format!("{}: not a PNG, JPEG, WebP or GIF file", path.display())));
    }
    ImageReader::new(open(path)?).with_guessed_format().map_err(Error::io(path))
}

/// Whether a JPEG file goes on to its end-of-image marker. The decoder would fill up the rest with grey and say nothing.
fn is_whole_jpeg(file: impl BufRead) -> std::io::Result<bool> {
    let mut bytes = file.bytes();
    let mut after_marker_byte = false;
    let mut in_scan = false;
    while let Some(byte) = bytes.next().transpose()? {
        let marker = if after_marker_byte { byte } else { 0 };
        after_marker_byte = byte == 0xff;
        match marker {
            // In a scan 0xff is followed by 0 unless it begins a marker; the lengths of all other segments are heeded.
            0xd9 => return Ok(in_scan),
            0xda => in_scan = true,
            0xc0..=0xcf | 0xdb..=0xfe => {
                let (Some(high), Some(low)) = (bytes.next().transpose()?, bytes.next().transpose()?) else { return Ok(false) };
                let length = usize::from(u16::from_be_bytes([high, low]));
                bytes.by_ref().take(length.saturating_sub(2)).try_for_each(|byte| byte.map(drop))?;
                after_marker_byte = false;
            }
            _ => {}
        }
    }
    Ok(false)
}

fn to_rgb(image: DynamicImage) -> RgbImage {
    use DynamicImage::{ImageLuma16, ImageLumaA16, ImageRgb16, ImageRgba16};
    if !matches!(image, ImageLuma16(_) | ImageLumaA16(_) | ImageRgb16(_) | ImageRgba16(_)) {
        return image.into_rgb8();
    }
    let deep = image.into_rgb16();
    RgbImage::from_fn(deep.width(), deep.height(), |x, y| deep.get_pixel(x, y).0.map(|sample| (sample >> 8) as u8).into())
}
