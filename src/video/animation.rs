//! Pictures that move: GIF, WebP and APNG.

use std::io::{BufRead, Seek};

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::{AnimationDecoder, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageResult, Limits, RgbImage};

use super::still::{limits, most_bytes, open};
use super::timing::Timing;
use crate::location::Location;
use crate::{Error, Result};

/// Of the times of frames a second.
const TICKS: f64 = 1000.0;

/// All frames of an animation, which is decoded whole, and when they are shown; `None` for a picture that does not move. Alpha is
/// dropped as in [`open_image`](super::open_image).
pub(super) fn read_animation(file: &Location, format: ImageFormat) -> Result<Option<(Vec<RgbImage>, Timing)>> {
    let path = file.path();
    let refused = |e: ImageError| Error::Input(format!("{}: {e}", path.display()));
    let Some((frames, frame_bytes)) = frames(open(file)?, format, limits(file)?).map_err(refused)? else { return Ok(None) };
    let most = most_bytes(file)?;
    let check_bytes = |frames: usize| match (frames as u64).saturating_mul(frame_bytes) > most {
        true => Err(Error::Input(format!("{}: too large for an animated picture; convert it to MP4", path.display()))),
        false => Ok(()),
    };
    check_bytes(1)?;
    let (mut images, mut ticks) = (Vec::new(), vec![0]);
    let mut clock = 0.0;
    for frame in frames {
        let frame = frame.map_err(refused)?;
        let (numerator, denominator) = frame.delay().numer_denom_ms();
        clock += f64::from(numerator) / f64::from(denominator);
        ticks.push(clock.round() as i64);
        images.push(DynamicImage::ImageRgba8(frame.into_buffer()).into_rgb8());
        check_bytes(images.len())?;
    }
    let timing = if images.len() > 1 { Timing::new(&ticks, TICKS, Some(TICKS * images.len() as f64 / clock)) } else { Timing::default() };
    Ok(Some((images, timing)))
}

/// The frames of an animation, and how many bytes one takes.
fn frames<'a>(file: impl BufRead + Seek + 'a, format: ImageFormat, limits: Limits) -> ImageResult<Option<(image::Frames<'a>, u64)>> {
    let bytes = |decoder: &dyn ImageDecoder| {
        let (width, height) = decoder.dimensions();
        u64::from(width) * u64::from(height) * 4
    };
    match format {
        ImageFormat::Gif => {
            let mut decoder = GifDecoder::new(file)?;
            decoder.set_limits(limits)?;
            let bytes = bytes(&decoder);
            Ok(Some((decoder.into_frames(), bytes)))
        }
        ImageFormat::WebP => {
            let mut decoder = WebPDecoder::new(file)?;
            decoder.set_limits(limits)?;
            let bytes = bytes(&decoder);
            Ok(decoder.has_animation().then(|| (decoder.into_frames(), bytes)))
        }
        ImageFormat::Png => {
            let mut decoder = PngDecoder::new(file)?;
            decoder.set_limits(limits)?;
            let bytes = bytes(&decoder);
            if !decoder.is_apng()? {
                return Ok(None);
            }
            Ok(Some((decoder.apng()?.into_frames(), bytes)))
        }
        _ => Ok(None),
    }
}
