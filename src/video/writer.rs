//! Writing the generated video, frame by frame.

use std::fmt;
use std::path::Path;

use super::fps::check_rate;
use super::frame::Frame;
use super::frames_file::FramesFile;
use super::gif_writer::GifWriter;
use super::options::VideoOptions;
use super::png_dir::PngDir;
use super::sink::Sink;
use crate::{Error, Result};

/// Writes frames to a file or directory, in a memory that does not depend on their number.
///
/// Nothing appears under the file's own name before [`finish`](Self::finish); a writer that is dropped unfinished leaves
/// nothing behind (in a directory, the frames so far).
pub struct VideoWriter {
    sink: Box<dyn Sink>,
    width: u32,
    height: u32,
    num_frames: usize,
}

impl fmt::Debug for VideoWriter {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { width, height, num_frames, .. } = self;
        f.debug_struct("VideoWriter").field("size", &(width, height)).field("num_frames", num_frames).finish_non_exhaustive()
    }
}

impl VideoWriter {
    /// [`create_with`](Self::create_with) the default options.
    ///
    /// # Errors
    /// As there.
    pub fn create(path: impl AsRef<Path>, width: u32, height: u32, fps: f64) -> Result<Self> {
        Self::create_with(path, width, height, fps, &VideoOptions::default())
    }

    /// Begins a video of `width` x `height` pixels at `fps` frames a second. The path's ending says what it is:
    ///
    /// - `.mp4`, `.mov`: H.264, 4:2:0, BT.709 (feature `mp4`); even sides of at most 3840 by 2160 pixels.
    /// - `.webm`: AV1, 4:2:0, BT.709 (feature `webm`); even sides. It takes far longer than the others.
    /// - `.gif`: 256 colours a frame, 0.01 to 50 fps.
    /// - `.safetensors`: a tensor `frames`, f32 `[F, height, width, 3]` in [0, 1]. It has no rate.
    /// - a directory that exists, or a path without an ending or with a closing `/`: `000000.png`, `000001.png` and so on.
    ///   What an earlier, longer video left there under such names is removed.
    ///
    /// # Errors
    /// [`Error::Input`] for any other ending, and a size, rate or quality that the format cannot hold; [`Error::Unsupported`] for a format whose
    /// feature is off; [`Error::Io`] where nothing can be written.
    pub fn create_with(path: impl AsRef<Path>, width: u32, height: u32, fps: f64, options: &VideoOptions) -> Result<Self> {
        let path = path.as_ref();
        if width == 0 || height == 0 {
            return Err(Error::Input(format!("{}: a video cannot have {width}x{height} pixels", path.display())));
        }
        check_rate(fps)?;
        options.check()?;
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let sink: Box<dyn Sink> = match ending.as_str() {
            _ if is_folder(path) => Box::new(PngDir::create(path)?),
            "mp4" | "mov" => create_mp4(path, (width, height), fps, options)?,
            "webm" => create_webm(path, (width, height), fps, options)?,
            "gif" => Box::new(GifWriter::create(path, width, height, fps)?),
            "safetensors" => Box::new(FramesFile::create(path, width, height)?),
            other => {
                let message =
                    format!("cannot write `.{other}`; end the name in .mp4, .mov, .webm, .gif, .safetensors, or in / for PNG files");
                return Err(Error::Input(format!("{}: {message}", path.display())));
            }
        };
        if options.audio.is_some() && (!matches!(ending.as_str(), "mp4" | "mov") || is_folder(path)) {
            log::warn!("{}: only MP4 and MOV files hold sound, so it is left out", path.display());
        }
        Ok(Self { sink, width, height, num_frames: 0 })
    }

    /// Appends a frame.
    ///
    /// # Errors
    /// [`Error::Input`] where it has another size than the video; [`Error::Io`] where it cannot be written.
    pub fn write(&mut self, frame: &Frame) -> Result<()> {
        if (frame.width(), frame.height()) != (self.width, self.height) {
            let (w, h, width, height) = (frame.width(), frame.height(), self.width, self.height);
            return Err(Error::Input(format!("a frame of {w}x{h} pixels does not fit a video of {width}x{height}")));
        }
        self.sink.write(frame)?;
        self.num_frames += 1;
        Ok(())
    }

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    /// [`Error::Input`] where no frame was written; [`Error::Io`] where the file cannot be completed.
    pub fn finish(self) -> Result<()> {
        if self.num_frames == 0 {
            return Err(Error::Input("no frame was written to the video".into()));
        }
        self.sink.finish()
    }
}

fn is_folder(path: &Path) -> bool {
    let closed = path.as_os_str().to_string_lossy().ends_with(std::path::is_separator);
    closed || path.extension().is_none() || path.is_dir()
}

#[cfg(feature = "mp4")]
fn create_mp4(path: &Path, size: (u32, u32), fps: f64, options: &VideoOptions) -> Result<Box<dyn Sink>> {
    Ok(Box::new(super::mp4::Mp4Writer::create(path, size, fps, options)?))
}

#[cfg(not(feature = "mp4"))]
fn create_mp4(path: &Path, _: (u32, u32), _: f64, _: &VideoOptions) -> Result<Box<dyn Sink>> {
    Err(Error::Unsupported(format!("{}: writing MP4 and MOV needs the crate's feature `mp4`", path.display())))
}

#[cfg(feature = "webm")]
fn create_webm(path: &Path, size: (u32, u32), fps: f64, options: &VideoOptions) -> Result<Box<dyn Sink>> {
    Ok(Box::new(super::webm::WebmWriter::create(path, size, fps, options)?))
}

#[cfg(not(feature = "webm"))]
fn create_webm(path: &Path, _: (u32, u32), _: f64, _: &VideoOptions) -> Result<Box<dyn Sink>> {
    Err(Error::Unsupported(format!("{}: writing WebM needs the crate's feature `webm`", path.display())))
}
