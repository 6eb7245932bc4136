//! Reading one picture file as 8-bit RGB.

use std::io::{BufRead, BufReader, Seek, SeekFrom};

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

use super::ffmpeg;
use super::kind::Kind;
use crate::content::ReadSeek;
use crate::location::Location;
use crate::{Error, Result};

/// A picture, or an animation, larger than this when it is decoded is taken for a bomb.
pub(super) const MAX_BYTES: u64 = 1 << 30;

/// So is one larger than so many times its file, as none is that shows something. Small ones may be of one colour.
const MAX_RATIO: u64 = 2048;
const SMALL_BYTES: u64 = 64 << 20;

/// Reads a PNG, JPEG, WebP or GIF file (the first picture of it), whatever its name says, turned upright by its EXIF
/// orientation. Other formats, such as AVIF, go through the program `ffmpeg` where [`Frames::open`](super::Frames::open) would.
///
/// Alpha is dropped, not blended, grey is repeated, and of 16-bit samples the upper byte is kept, all as in Pillow's
/// `convert("RGB")` (which however cuts 16-bit grey off at 255).
///
/// # Errors
/// [`Error::Input`] where the file is damaged, or too large to be a picture; [`Error::Unsupported`] where it is of a kind that is not read, with
/// the command that converts it; [`Error::Io`] where it cannot be read.
pub fn open_image(file: impl Into<Location>) -> Result<RgbImage> {
    read_image(&file.into())
}

pub(super) fn read_image(file: &Location) -> Result<RgbImage> {
    let path = file.path();
    if let Kind::Other(name) = Kind::of(file)? {
        return ffmpeg::open(file, &format!("{name}, which is not read"), ffmpeg::PICTURE)?.read(0);
    }
    let reader = reader(file)?;
    let refused = |e: image::ImageError| Error::Input(format!("{}: {e}; save it again as PNG or JPEG", path.display()));
    if reader.format() == Some(ImageFormat::Jpeg) && !is_whole_jpeg(open(file)?).map_err(Error::io(path))? {
        return Err(Error::Input(format!("{}: the JPEG file is cut short", path.display())));
    }
    let mut decoder = reader.into_decoder().map_err(refused)?;
    if decoder.total_bytes() > most_bytes(file)? {
        let (width, height) = decoder.dimensions();
        return Err(Error::Input(format!("{}: {width}x{height} pixels are too many for such a file; make it smaller", path.display())));
    }
    let orientation = decoder.orientation().map_err(refused)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(refused)?;
    image.apply_orientation(orientation);
    Ok(to_rgb(image))
}

/// How many bytes the pixels of a file may take.
pub(super) fn most_bytes(file: &Location) -> Result<u64> {
    let length = file.reader()?.seek(SeekFrom::End(0)).map_err(Error::io(file.path()))?;
    Ok(length.saturating_mul(MAX_RATIO).clamp(SMALL_BYTES, MAX_BYTES))
}

/// What a decoder may take for the pixels of a file.
pub(super) fn limits(file: &Location) -> Result<Limits> {
    let mut limits = Limits::default();
    limits.max_alloc = Some(most_bytes(file)?);
    Ok(limits)
}

/// Width and height of a picture file, upright, without decoding it.
pub(super) fn dimensions(file: &Location) -> Result<(u32, u32)> {
    let refused = |e: image::ImageError| Error::Input(format!("{}: {e}", file.path().display()));
    let mut decoder = reader(file)?.into_decoder().map_err(refused)?;
    let (width, height) = decoder.dimensions();
    use image::metadata::Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    let turned = matches!(decoder.orientation().map_err(refused)?, Rotate90 | Rotate90FlipH | Rotate270 | Rotate270FlipH);
    Ok(if turned { (height, width) } else { (width, height) })
}

pub(super) fn open(file: &Location) -> Result<BufReader<Box<dyn ReadSeek>>> {
    file.reader().map(BufReader::new)
}

fn reader(file: &Location) -> Result<ImageReader<BufReader<Box<dyn ReadSeek>>>> {
    if !matches!(Kind::of(file)?, Kind::Picture(_)) {
        return Err(Error::Input(format!("{}: not a PNG, JPEG, WebP or GIF file", file.path().display())));
    }
    let mut reader = ImageReader::new(open(file)?).with_guessed_format().map_err(Error::io(file.path()))?;
    reader.limits(limits(file)?);
    Ok(reader)
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
