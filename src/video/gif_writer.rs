//! Animated GIF as output.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom};
use std::path::Path;

use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, DynamicImage, ImageError};

use super::frame::Frame;
use super::sink::Sink;
use crate::partial_file::PartialFile;
use crate::{Error, Result};

/// The shortest delay that players honour is 2 hundredths of a second.
const MAX_FPS: f64 = 50.0;
/// The longest is some eleven minutes; this rounds it.
const MIN_FPS: f64 = 0.01;

/// Writes an endless GIF, each frame with its own 256 colours.
pub(super) struct GifWriter {
    file: PartialFile,
    encoder: GifEncoder<BufWriter<File>>,
    fps: f64,
    /// When the next frame begins, in hundredths of a second.
    clock: u32,
    num_frames: u32,
}

impl GifWriter {
    pub(super) fn create(path: &Path, width: u32, height: u32, fps: f64) -> Result<Self> {
        if !(MIN_FPS..=MAX_FPS).contains(&fps) {
            return Err(Error::Input(format!(
                "a GIF plays {MIN_FPS} to {MAX_FPS} frames a second, not {fps}; give another rate or write an MP4"
            )));
        }
        if width.max(height) > u32::from(u16::MAX) {
            return Err(Error::Input(format!("a GIF cannot have {width}x{height} pixels")));
        }
        let (file, handle) = PartialFile::create(path)?;
        // Of 1 (careful) to 30 (hasty); below 10 it gets very slow for little.
        let mut encoder = GifEncoder::new_with_speed(BufWriter::new(handle), 10);
        encoder.set_repeat(Repeat::Infinite).map_err(|e| failed(path, e))?;
        Ok(Self { file, encoder, fps, clock: 0, num_frames: 0 })
    }
}

impl Sink for GifWriter {
    fn write(&mut self, frame: &Frame) -> Result<()> {
        self.num_frames += 1;
        // Delays are whole hundredths; rounding the clock instead of each delay keeps the whole in time.
        let end = (f64::from(self.num_frames) * 100.0 / self.fps).round() as u32;
        let delay = Delay::from_numer_denom_ms((end - self.clock) * 10, 1);
        self.clock = end;
        let image = DynamicImage::ImageRgb8(frame.to_rgb8()).into_rgba8();
        self.encoder.encode_frame(image::Frame::from_parts(image, 0, 0, delay)).map_err(|e| failed(self.file.path(), e))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        // The encoder writes the trailer when it is dropped, and tells nobody if it cannot.
        drop(self.encoder);
        if !ends_with_trailer(self.file.partial()).map_err(Error::io(self.file.path()))? {
            return Err(Error::io(self.file.path())(std::io::ErrorKind::WriteZero.into()));
        }
        self.file.publish()
    }
}

fn ends_with_trailer(path: &Path) -> std::io::Result<bool> {
    let mut file = File::open(path)?;
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b";")
}

fn failed(path: &Path, error: ImageError) -> Error {
    match error {
        ImageError::IoError(source) => Error::io(path)(source),
        other => Error::Input(format!("{}: {other}", path.display())),
    }
}
