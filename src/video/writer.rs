//! Writing the generated video, frame by frame.

use std::fmt;
use std::io::{Seek, Write};
use std::path::Path;

use super::fps::check_rate;
use super::frame::Frame;
use super::frames_file::FramesFile;
use super::gif_writer::GifWriter;
use super::options::VideoOptions;
use super::output::Output;
use super::png_dir::PngDir;
use super::sink::Sink;
use crate::{Error, Result};

/// A kind of file that a video is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VideoFormat {
    /// H.264, 4:2:0, BT.709 (feature `mp4`); even sides of at most 3840 by 2160 pixels.
    Mp4,
    /// The same in QuickTime's form.
    Mov,
    /// AV1, 4:2:0, BT.709 (feature `webm`); even sides. It takes far longer than the others.
    WebM,
    /// 256 colours a frame, 0.01 to 50 fps.
    Gif,
    /// A tensor `frames`, f32 `[F, height, width, 3]` in [0, 1]. It has no rate.
    Safetensors,
}

impl VideoFormat {
    const ALL: [Self; 5] = [Self::Mp4, Self::Mov, Self::WebM, Self::Gif, Self::Safetensors];

    /// How the names of such files end, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Mov => "mov",
            Self::WebM => "webm",
            Self::Gif => "gif",
            Self::Safetensors => "safetensors",
        }
    }

    /// By the ending of a name.
    fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        Self::ALL.into_iter().find(|format| format.extension() == ending).ok_or_else(|| {
            let message = format!("cannot write `.{ending}`; end the name in .mp4, .mov, .webm, .gif, .safetensors, or in / for PNG files");
            Error::Input(format!("{}: {message}", path.display()))
        })
    }
}

/// Writes frames to a file or directory, in a memory that does not depend on their number.
///
/// Nothing appears under the file's own name before [`finish`](Self::finish); a writer that is dropped unfinished leaves
/// nothing behind (in a directory, the frames so far).
pub struct VideoWriter<'w> {
    sink: Box<dyn Sink + 'w>,
    width: u32,
    height: u32,
    num_frames: usize,
}

impl VideoWriter<'static> {
    /// [`create_with`](Self::create_with) the default options.
    ///
    /// # Errors
    /// As there.
    pub fn create(path: impl AsRef<Path>, width: u32, height: u32, fps: f64) -> Result<Self> {
        Self::create_with(path, width, height, fps, &VideoOptions::default())
    }

    /// Begins a video of `width` x `height` pixels at `fps` frames a second. The path's ending says what it is:
    ///
    /// - `.mp4`, `.mov`, `.webm`, `.gif`, `.safetensors`: a [`VideoFormat`].
    /// - a directory that exists, or a path without an ending or with a closing `/`: `000000.png`, `000001.png` and so on.
    ///   What an earlier, longer video left there under such names is removed.
    ///
    /// # Errors
    /// [`Error::Input`] for any other ending, and a size, rate or quality that the format cannot hold; [`Error::Unsupported`] for a format whose
    /// feature is off; [`Error::Io`] where nothing can be written.
    pub fn create_with(path: impl AsRef<Path>, width: u32, height: u32, fps: f64, options: &VideoOptions) -> Result<Self> {
        let path = path.as_ref();
        check(path, width, height, fps, options)?;
        if !is_folder(path) {
            let format = VideoFormat::of(path)?;
            return Self::begin(Output::create(path)?, path, format, (width, height), fps, options);
        }
        warn_of_sound(path, options);
        Ok(Self { sink: Box::new(PngDir::create(path)?), width, height, num_frames: 0 })
    }
}

impl<'w> VideoWriter<'w> {
    /// [`create_with`](VideoWriter::create_with), but into anything that can be written to at any place, such as a
    /// [`Cursor`](std::io::Cursor) over bytes in memory, and is empty. What is there is whole after [`finish`](Self::finish).
    ///
    /// ```
    /// use wan_animate::video::{Frame, VideoFormat, VideoOptions, VideoWriter};
    ///
    /// let mut gif = std::io::Cursor::new(Vec::new());
    /// let mut writer = VideoWriter::create_in(&mut gif, VideoFormat::Gif, 16, 16, 8.0, &VideoOptions::default())?;
    /// writer.write(&Frame::new(16, 16, vec![0.5; 16 * 16 * 3])?)?;
    /// writer.finish()?;
    /// assert!(gif.into_inner().starts_with(b"GIF89a"));
    /// # Ok::<(), wan_animate::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`create_with`](VideoWriter::create_with).
    pub fn create_in(
        output: impl Write + Seek + Send + 'w,
        format: VideoFormat,
        width: u32,
        height: u32,
        fps: f64,
        options: &VideoOptions,
    ) -> Result<Self> {
        let name = format!("output.{}", format.extension());
        let path = Path::new(&name);
        check(path, width, height, fps, options)?;
        Self::begin(Output::to(output, &name), path, format, (width, height), fps, options)
    }

    fn begin(
        output: Output<'w>,
        path: &Path,
        format: VideoFormat,
        (width, height): (u32, u32),
        fps: f64,
        options: &VideoOptions,
    ) -> Result<Self> {
        let size = (width, height);
        let sink: Box<dyn Sink + 'w> = match format {
            VideoFormat::Mp4 | VideoFormat::Mov => create_mp4(output, format == VideoFormat::Mov, size, fps, options)?,
            VideoFormat::WebM => create_webm(output, size, fps, options)?,
            VideoFormat::Gif => Box::new(GifWriter::create(output, width, height, fps)?),
            VideoFormat::Safetensors => Box::new(FramesFile::create(output, width, height)?),
        };
        if !matches!(format, VideoFormat::Mp4 | VideoFormat::Mov) {
            warn_of_sound(path, options);
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

impl fmt::Debug for VideoWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { width, height, num_frames, .. } = self;
        f.debug_struct("VideoWriter").field("size", &(width, height)).field("num_frames", num_frames).finish_non_exhaustive()
    }
}

fn check(path: &Path, width: u32, height: u32, fps: f64, options: &VideoOptions) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(Error::Input(format!("{}: a video cannot have {width}x{height} pixels", path.display())));
    }
    check_rate(fps)?;
    options.check()
}

fn warn_of_sound(path: &Path, options: &VideoOptions) {
    if options.audio.is_some() {
        log::warn!("{}: only MP4 and MOV files hold sound, so it is left out", path.display());
    }
}

fn is_folder(path: &Path) -> bool {
    let closed = path.as_os_str().to_string_lossy().ends_with(std::path::is_separator);
    closed || path.extension().is_none() || path.is_dir()
}

#[cfg(feature = "mp4")]
fn create_mp4<'w>(output: Output<'w>, quicktime: bool, size: (u32, u32), fps: f64, options: &VideoOptions) -> Result<Box<dyn Sink + 'w>> {
    Ok(Box::new(super::mp4::Mp4Writer::create(output, quicktime, size, fps, options)?))
}

#[cfg(not(feature = "mp4"))]
fn create_mp4<'w>(output: Output<'w>, _: bool, _: (u32, u32), _: f64, _: &VideoOptions) -> Result<Box<dyn Sink + 'w>> {
    Err(Error::Unsupported(format!("{}: writing MP4 and MOV needs the crate's feature `mp4`", output.name().display())))
}

#[cfg(feature = "webm")]
fn create_webm<'w>(output: Output<'w>, size: (u32, u32), fps: f64, options: &VideoOptions) -> Result<Box<dyn Sink + 'w>> {
    Ok(Box::new(super::webm::WebmWriter::create(output, size, fps, options)?))
}

#[cfg(not(feature = "webm"))]
fn create_webm<'w>(output: Output<'w>, _: (u32, u32), _: f64, _: &VideoOptions) -> Result<Box<dyn Sink + 'w>> {
    Err(Error::Unsupported(format!("{}: writing WebM needs the crate's feature `webm`", output.name().display())))
}
