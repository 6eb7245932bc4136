//! Decoding an H.264 track, forwards from any of its entries.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use image::RgbImage;
use openh264::OpenH264API;
use openh264::decoder::{DecodedYUV, Decoder, DecoderConfig, Flush};
use openh264::formats::YUVSource;
use shiguredo_mp4::bitstream::h264::length_prefixed_to_annexb;

use super::refusal::Refusal;
use super::track::Track;
use crate::content::ReadSeek;
use crate::location::Location;
use crate::video::colour::Planes;
use crate::video::sequential::{Decode, Sequential, VideoInfo};
use crate::video::source::{FrameSource, check_index};
use crate::video::timing::Timing;
use crate::{Error, Result};

/// What opening a whole file comes to.
pub(in crate::video) enum Opened {
    Frames(Box<Mp4Source>),
    /// It is not read, for this reason.
    Refused(String),
}

/// Opens an MP4 or MOV file and reads its index, but no frame yet.
pub(in crate::video) fn open_mp4(location: &Location) -> Result<Opened> {
    let (path, mut file) = (location.path(), location.reader()?);
    let mut track = match Track::read(path, &mut *file) {
        Ok(track) => track,
        Err(Refusal::Unsupported(reason)) => return Ok(Opened::Refused(reason)),
        Err(Refusal::Failed(error)) => return Err(error),
    };
    let (width, height) = track.format.size;
    let size = if track.orientation.is_turned() { (height, width) } else { (width, height) };
    let info = VideoInfo { num_frames: track.samples.len(), size, timing: Timing::default() };
    let (presented, timing) = (std::mem::take(&mut track.presentation.frames), std::mem::take(&mut track.timing));
    let reader = Mp4Reader { path: path.into(), file, track, decoder: None, next_sample: 0, ready: VecDeque::new() };
    Ok(Opened::Frames(Box::new(Mp4Source { frames: Sequential::new(info, reader), presented, timing })))
}

/// The frames that a file presents, of all that are in it.
pub(in crate::video) struct Mp4Source {
    frames: Sequential<Mp4Reader>,
    /// Their places among all.
    presented: Vec<usize>,
    timing: Timing,
}

impl FrameSource for Mp4Source {
    fn num_frames(&self) -> usize {
        self.presented.len()
    }

    fn size(&self) -> (u32, u32) {
        self.frames.size()
    }

    fn fps(&self) -> Option<f64> {
        self.timing.fps
    }

    fn times(&self) -> Option<&[f64]> {
        self.timing.times.as_deref()
    }

    fn read(&self, index: usize) -> Result<RgbImage> {
        check_index(index, self.presented.len())?;
        self.frames.read(self.presented[index])
    }
}

struct Mp4Reader {
    path: PathBuf,
    file: Box<dyn ReadSeek>,
    track: Track,
    /// None until the first frame after a start.
    decoder: Option<Decoder>,
    /// The sample that the decoder is fed next.
    next_sample: usize,
    /// Frames decoded and not yet asked for.
    ready: VecDeque<RgbImage>,
}

impl Decode for Mp4Reader {
    fn entry(&self, index: usize) -> usize {
        let after = self.track.entries.partition_point(|&entry| entry <= index);
        self.track.entries[after - 1]
    }

    fn seek(&mut self, entry: usize) -> Result<()> {
        self.decoder = None;
        self.next_sample = entry;
        self.ready.clear();
        Ok(())
    }

    fn next(&mut self) -> Result<RgbImage> {
        while self.ready.is_empty() {
            if self.next_sample < self.track.samples.len() {
                self.decode_sample()?;
            } else {
                self.flush()?;
            }
        }
        Ok(self.ready.pop_front().expect("the loop ends with a frame"))
    }
}

impl Mp4Reader {
    fn decode_sample(&mut self) -> Result<()> {
        let index = self.next_sample;
        let broken = |e: &dyn Display| cannot_decode(&self.path, &format!("frame {index} of its track"), e);
        let sample = self.track.samples[index];
        let mut bytes = vec![0; sample.size as usize];
        self.file.seek(SeekFrom::Start(sample.offset)).map_err(Error::io(&self.path))?;
        self.file.read_exact(&mut bytes).map_err(Error::io(&self.path))?;
        let mut packet = length_prefixed_to_annexb(&bytes, self.track.format.length_size).map_err(|e| broken(&e))?;
        let decoder = match self.decoder.take() {
            Some(decoder) => self.decoder.insert(decoder),
            None => {
                packet.splice(0..0, self.track.format.parameter_sets.iter().copied());
                // Flushing at every frame would undo the reordering of B-frames.
                let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
                let decoder = Decoder::with_api_config(OpenH264API::from_source(), config).map_err(|e| broken(&e))?;
                self.decoder.insert(decoder)
            }
        };
        if let Some(picture) = decoder.decode(&packet).map_err(|e| broken(&e))? {
            self.ready.push_back(to_rgb(&self.track, &picture).map_err(|e| broken(&e))?);
        }
        self.next_sample += 1;
        Ok(())
    }

    /// Takes out the frames that the decoder held back for reordering.
    fn flush(&mut self) -> Result<()> {
        let broken = |e: &dyn Display| cannot_decode(&self.path, "the last frames of its track", e);
        let decoder = self.decoder.as_mut().ok_or_else(|| broken(&"there are too few"))?;
        for picture in decoder.flush_remaining().map_err(|e| broken(&e))? {
            self.ready.push_back(to_rgb(&self.track, &picture).map_err(|e| broken(&e))?);
        }
        self.decoder = None;
        Ok(())
    }
}

/// The decoder's own words are numbers of its source; they go to the log.
fn cannot_decode(path: &Path, what: &str, error: &dyn Display) -> Error {
    log::debug!("{}: {what}: {error}", path.display());
    let advice = "it is damaged, or coded in a way that the decoder does not know; see whether a player shows it, and encode it again";
    Error::Input(format!("{}: {what} cannot be decoded: {advice}", path.display()))
}

fn to_rgb(track: &Track, picture: &DecodedYUV) -> Result<RgbImage, String> {
    let (width, height) = picture.dimensions();
    if (width as u32, height as u32) != track.format.size {
        return Err(format!("it has {width}x{height} pixels, but the video {}x{}", track.format.size.0, track.format.size.1));
    }
    let (luma_stride, chroma_stride, _) = picture.strides();
    let planes = Planes { width, height, luma: picture.y(), luma_stride, cb: picture.u(), cr: picture.v(), chroma_stride };
    Ok(track.orientation.apply(track.format.colour.to_rgb(&planes)))
}
