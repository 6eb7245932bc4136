//! Animated GIF as output.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, DynamicImage, ImageError};

use super::frame::Frame;
use super::output::{Output, WriteSeek};
use super::sink::Sink;
use crate::partial_file::PartialFile;
use crate::{Error, Result};

/// The shortest delay that players honour is 2 hundredths of a second.
const MAX_FPS: f64 = 50.0;
/// The longest is some eleven minutes; this rounds it.
const MIN_FPS: f64 = 0.01;

/// Writes an endless GIF, each frame with its own 256 colours.
pub(super) struct GifWriter<'w> {
    name: PathBuf,
    file: Option<PartialFile>,
    encoder: GifEncoder<BufWriter<Tail<'w>>>,
    /// The last byte that was written.
    last: Arc<AtomicU8>,
    fps: f64,
    /// When the next frame begins, in hundredths of a second.
    clock: u32,
    num_frames: u32,
}

impl<'w> GifWriter<'w> {
    pub(super) fn create(output: Output<'w>, width: u32, height: u32, fps: f64) -> Result<Self> {
        if !(MIN_FPS..=MAX_FPS).contains(&fps) {
            return Err(Error::Input(format!(
                "a GIF plays {MIN_FPS} to {MAX_FPS} frames a second, not {fps}; give another rate or write an MP4"
            )));
        }
        if width.max(height) > u32::from(u16::MAX) {
            return Err(Error::Input(format!("a GIF cannot have {width}x{height} pixels")));
        }
        let (name, last) = (output.name().to_owned(), Arc::default());
        let (stream, file) = output.split();
        // Of 1 (careful) to 30 (hasty); below 10 it gets very slow for little.
        let mut encoder = GifEncoder::new_with_speed(BufWriter::new(Tail { stream, last: Arc::clone(&last) }), 10);
        encoder.set_repeat(Repeat::Infinite).map_err(|e| failed(&name, e))?;
        Ok(Self { name, file, encoder, last, fps, clock: 0, num_frames: 0 })
    }
}

impl Sink for GifWriter<'_> {
    fn write(&mut self, frame: &Frame) -> Result<()> {
        self.num_frames += 1;
        // Delays are whole hundredths; rounding the clock instead of each delay keeps the whole in time.
        let end = (f64::from(self.num_frames) * 100.0 / self.fps).round() as u32;
        let delay = Delay::from_numer_denom_ms((end - self.clock) * 10, 1);
        self.clock = end;
        let image = DynamicImage::ImageRgb8(frame.to_rgb8()).into_rgba8();
        self.encoder.encode_frame(image::Frame::from_parts(image, 0, 0, delay)).map_err(|e| failed(&self.name, e))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        // The encoder writes the trailer when it is dropped, and tells nobody if it cannot.
        drop(self.encoder);
        if self.last.load(Ordering::Relaxed) != b';' {
            return Err(Error::io(&self.name)(io::ErrorKind::WriteZero.into()));
        }
        self.file.map_or(Ok(()), PartialFile::publish)
    }
}

/// Notes the last byte that was written.
struct Tail<'w> {
    stream: Box<dyn WriteSeek + 'w>,
    last: Arc<AtomicU8>,
}

impl Write for Tail<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.stream.write(bytes)?;
        bytes[..count].last().into_iter().for_each(|&byte| self.last.store(byte, Ordering::Relaxed));
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn failed(path: &Path, error: ImageError) -> Error {
    match error {
        ImageError::IoError(source) => Error::io(path)(source),
        other => Error::Input(format!("{}: {other}", path.display())),
    }
}
