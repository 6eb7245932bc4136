//! From stored frames to a file: always from their 8 bits, so that a job that was interrupted gives the bytes of one that was not.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use wan_animate::video::{Audio, Effort, Frame, Frames, VideoOptions, VideoWriter, open_image};
use wan_animate::{Error, Result};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::generate::Files;
use crate::request::{Format, JobRequest, Sound};

/// A file of the pictures in `frames`, and what could not be done of what was asked.
pub fn encode(request: &JobRequest, files: &Files, frames: &[PathBuf], fps: f64, to: &Path) -> Result<Vec<&'static str>> {
    let mut warnings = Vec::new();
    let mut options = VideoOptions::default().quality(request.quality);
    if let Some(effort) = &request.effort {
        options = options.effort(effort.parse::<Effort>()?);
    }
    if request.audio == Sound::Keep {
        match sound(request, files, fps) {
            Ok(audio) => options = options.audio(audio),
            Err(_) => warnings.push("audio_not_copied"),
        }
    }
    if request.format == Format::Frames {
        archive(frames, to)?;
        return Ok(warnings);
    }
    let first = frames.first().ok_or_else(|| Error::Input("there are no frames".into()))?;
    let (width, height) = open_image(first.as_path())?.dimensions();
    let mut writer = VideoWriter::create_with(to, width, height, fps, &options)?;
    for frame in frames {
        writer.write(&Frame::from(&open_image(frame.as_path())?))?;
    }
    writer.finish()?;
    Ok(warnings)
}

/// The pictures themselves, which are packed already.
fn archive(frames: &[PathBuf], to: &Path) -> Result<()> {
    let write = || {
        let mut archive = ZipWriter::new(BufWriter::new(File::create(to)?));
        for (number, frame) in frames.iter().enumerate() {
            archive.start_file(format!("{number:06}.png"), SimpleFileOptions::default().compression_method(CompressionMethod::Stored))?;
            std::io::copy(&mut File::open(frame)?, &mut archive)?;
        }
        archive.finish()?.flush()
    };
    write().map_err(|error| Error::Io { path: to.into(), error })
}

/// Of the first input that has any. Frames of uneven times have none that would fit, nor have files of WebM, which are written without.
fn sound(request: &JobRequest, files: &Files, fps: f64) -> Result<Option<Audio>> {
    if matches!(request.format, Format::Gif | Format::Frames) {
        return Ok(None);
    }
    for field in ["video", "background", "pose", "face"] {
        let Some(path) = files.get(field) else { continue };
        let Some(audio) = Audio::open(path.as_path())? else { continue };
        if request.fps == 0.0 && Frames::open(path.as_path())?.times().is_some() {
            return Err(Error::Input("frames of uneven times".into()));
        }
        if request.format == Format::Webm {
            return Err(Error::Unsupported("sound in WebM".into()));
        }
        return Ok(Some(audio.skip(request.frame_offset as f64 / fps)));
    }
    Ok(None)
}
