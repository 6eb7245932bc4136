//! Decoding an H.264 track, forwards from any of its entries.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use image::{RgbImage, imageops};
use openh264::OpenH264API;
use openh264::decoder::{DecodedYUV, Decoder, DecoderConfig, Flush};
use openh264::formats::YUVSource;
use shiguredo_mp4::bitstream::h264::length_prefixed_to_annexb;

use super::{colour::Planes, container::Rotation, container::Track};
use crate::video::sequential::{Decode, Sequential, VideoInfo};
use crate::{Error, Result};

/// Opens an MP4 or MOV file and reads its index, but no frame yet.
pub(in crate::video) fn open_mp4(path: &Path) -> Result<Sequential<Mp4Reader>> {
    let mut file = File::open(path).map_err(Error::io(path))?;
    let track = Track::read(path, &mut file)?;
    let (width, height) = track.size;
    let turned = matches!(track.rotation, Rotation::Quarter | Rotation::ThreeQuarters);
    let size = if turned { (height, width) } else { (width, height) };
    let info = VideoInfo { num_frames: track.samples.len(), size, fps: track.fps };
    let reader = Mp4Reader { path: path.into(), file, track, decoder: None, next_sample: 0, ready: VecDeque::new() };
    Ok(Sequential::new(info, reader))
}

pub(in crate::video) struct Mp4Reader {
    path: PathBuf,
    file: File,
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
        let broken = |e: String| Error::Input(format!("{}: frame {index} cannot be decoded: {e}", self.path.display()));
        let sample = self.track.samples[index];
        let mut bytes = vec![0; sample.size as usize];
        self.file.seek(SeekFrom::Start(sample.offset)).map_err(Error::io(&self.path))?;
        self.file.read_exact(&mut bytes).map_err(Error::io(&self.path))?;
        let mut packet = length_prefixed_to_annexb(&bytes, self.track.length_size).map_err(|e| broken(e.to_string()))?;
        let decoder = match self.decoder.take() {
            Some(decoder) => self.decoder.insert(decoder),
            None => {
                packet.splice(0..0, self.track.parameter_sets.iter().copied());
                // Flushing at every frame would undo the reordering of B-frames.
                let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
                let decoder = Decoder::with_api_config(OpenH264API::from_source(), config).map_err(|e| broken(e.to_string()))?;
                self.decoder.insert(decoder)
            }
        };
        if let Some(picture) = decoder.decode(&packet).map_err(|e| broken(e.to_string()))? {
            self.ready.push_back(to_rgb(&self.track, &picture).map_err(broken)?);
        }
        self.next_sample += 1;
        Ok(())
    }

    /// Takes out the frames that the decoder held back for reordering.
    fn flush(&mut self) -> Result<()> {
        let broken = |e: String| Error::Input(format!("{}: the last frames cannot be decoded: {e}", self.path.display()));
        let decoder = self.decoder.as_mut().ok_or_else(|| broken("the decoder gave too few".into()))?;
        for picture in decoder.flush_remaining().map_err(|e| broken(e.to_string()))? {
            self.ready.push_back(to_rgb(&self.track, &picture).map_err(broken)?);
        }
        self.decoder = None;
        Ok(())
    }
}

fn to_rgb(track: &Track, picture: &DecodedYUV) -> Result<RgbImage, String> {
    let (width, height) = picture.dimensions();
    if (width as u32, height as u32) != track.size {
        return Err(format!("it has {width}x{height} pixels, but the video {}x{}", track.size.0, track.size.1));
    }
    let (luma_stride, chroma_stride, _) = picture.strides();
    let planes = Planes { width, height, luma: picture.y(), luma_stride, cb: picture.u(), cr: picture.v(), chroma_stride };
    let image = track.colour.to_rgb(&planes);
    Ok(match track.rotation {
        Rotation::None => image,
        Rotation::Quarter => imageops::rotate90(&image),
        Rotation::Half => imageops::rotate180(&image),
        Rotation::ThreeQuarters => imageops::rotate270(&image),
    })
}
