//! Opening a file or directory as a video.

use super::animation::read_animation;
use super::audio::Audio;
use super::ffmpeg;
use super::frame_dir::FrameDir;
use super::kind::Kind;
use super::source::Frames;
use super::still::read_image;
use crate::location::Location;
use crate::{Error, Result};

impl Frames {
    /// Opens a directory of PNG, JPEG or WebP images, one such image, an animated GIF, WebP or PNG, or an MP4 or MOV file with H.264
    /// (feature `mp4`). Content decides, not the name's ending.
    ///
    /// Frames are those that the container presents, in its order: edit lists and the track's orientation are heeded.
    ///
    /// Everything else (H.265, 10 bits, WebM and so on) goes through the program `ffmpeg` where there is one on the `PATH` (feature
    /// `ffmpeg`), by its rules of what is shown. It decodes the whole video once to know its frames, and then again as they are read.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the file is of a kind that is not read, with the command that converts it; [`Error::Input`] where
    /// it is damaged.
    pub fn open(location: impl Into<Location>) -> Result<Self> {
        let location = location.into();
        let frames = if location.is_dir() { Self::new(FrameDir::open(&location)?)? } else { open_file(&location)? };
        Ok(frames.with_path(Some(location.path().into())))
    }
}

impl Audio {
    /// The sound of an MP4 or MOV file, whatever the codec of its video (feature `mp4`). `None` where it has none, and for pictures and
    /// directories.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where there may be sound that is not copied: in other containers and of other kinds than AAC, Opus, FLAC,
    /// ALAC and AC-3.
    pub fn open(location: impl Into<Location>) -> Result<Option<Self>> {
        let file = location.into();
        if file.is_dir() {
            return Ok(None);
        }
        match Kind::of(&file)? {
            Kind::Mp4 => read_audio(&file),
            Kind::Other(name) if !name.ends_with("picture") => {
                Err(Error::Unsupported(format!("{}: the sound of {name} is not copied", file.path().display())))
            }
            _ => Ok(None),
        }
    }
}

fn open_file(file: &Location) -> Result<Frames> {
    match Kind::of(file)? {
        Kind::Picture(format) => match read_animation(file, format)? {
            Some((images, timing)) => Frames::from_timed_images(images, timing),
            None => Frames::from_images([read_image(file)?]),
        },
        Kind::Mp4 => open_mp4(file),
        Kind::Other(name) if name.ends_with("picture") => ffmpeg::open(file, &format!("{name}, which is not read"), ffmpeg::PICTURE),
        Kind::Other(name) => ffmpeg::open(file, &format!("{name}, which is not read"), ffmpeg::VIDEO),
        Kind::Text => Err(unknown(file)),
        Kind::Unknown => ffmpeg::open(file, "", ffmpeg::VIDEO).map_err(|_| unknown(file)),
    }
}

fn unknown(file: &Location) -> Error {
    Error::Input(format!("{}: neither a picture (PNG, JPEG, WebP, GIF) nor a video (MP4, MOV)", file.path().display()))
}

#[cfg(feature = "mp4")]
fn open_mp4(file: &Location) -> Result<Frames> {
    use super::mp4::{Opened, open_mp4};
    match open_mp4(file)? {
        Opened::Frames(source) => Frames::new(*source),
        Opened::Refused(reason) => ffmpeg::open(file, &reason, ffmpeg::VIDEO),
    }
}

#[cfg(feature = "mp4")]
fn read_audio(file: &Location) -> Result<Option<Audio>> {
    super::mp4::read_audio(file)
}

#[cfg(not(feature = "mp4"))]
fn read_audio(_: &Location) -> Result<Option<Audio>> {
    Ok(None)
}

#[cfg(not(feature = "mp4"))]
fn open_mp4(file: &Location) -> Result<Frames> {
    ffmpeg::open(file, "reading MP4 and MOV needs the crate's feature `mp4`", ffmpeg::VIDEO)
}
