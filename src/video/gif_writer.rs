//! Animated GIF as output.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
    encoder: GifEncoder<BufWriter<Watched<'w>>>,
    has_failed: Arc<AtomicBool>,
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
        let (name, has_failed) = (output.name().to_owned(), Arc::default());
        let (stream, file) = output.split();
        // Of 1 (careful) to 30 (hasty); below 10 it gets very slow for little.
        let mut encoder = GifEncoder::new_with_speed(BufWriter::new(Watched { stream, has_failed: Arc::clone(&has_failed) }), 10);
        encoder.set_repeat(Repeat::Infinite).map_err(|e| failed(&name, e))?;
        Ok(Self { name, file, encoder, has_failed, fps, clock: 0, num_frames: 0 })
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
        if self.has_failed.load(Ordering::Relaxed) {
            return Err(Error::io(&self.name)(io::ErrorKind::WriteZero.into()));
        }
        self.file.map_or(Ok(()), PartialFile::publish)
    }
}

/// Notes whether anything could not be written, which the encoder tells nobody at its end.
struct Watched<'w> {
    stream: Box<dyn WriteSeek + 'w>,
    has_failed: Arc<AtomicBool>,
}

impl Watched<'_> {
    fn watch<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        // What was interrupted is tried again.
        if outcome.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted) {
            self.has_failed.store(true, Ordering::Relaxed);
        }
        outcome
    }
}

impl Write for Watched<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let outcome = match self.stream.write(bytes) {
            Ok(0) if !bytes.is_empty() => Err(io::ErrorKind::WriteZero.into()),
            outcome => outcome,
        };
        self.watch(outcome)
    }

    fn flush(&mut self) -> io::Result<()> {
        let outcome = self.stream.flush();
        self.watch(outcome)
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        // Whether it failed is noted.
        let _ = self.flush();
    }
}

fn failed(path: &Path, error: ImageError) -> Error {
    match error {
        ImageError::IoError(source) => Error::io(path)(source),
        other => Error::Input(format!("{}: {other}", path.display())),
    }
}
