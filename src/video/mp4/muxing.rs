//! The MP4 or MOV file around coded frames and packets of sound.

use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::num::NonZeroU32;
use std::path::Path;

use shiguredo_mp4::bitstream::h264::{H264SampleEntryConfig, LengthSize, build_avc1_box};
use shiguredo_mp4::boxes::{EdtsBox, ElstBox, ElstEntry, HdlrBox, SampleEntry, UnknownBox};
use shiguredo_mp4::mux::{FinalizedBoxes, Mp4FileMuxer, Mp4FileMuxerOptions, Sample, estimate_maximum_moov_box_size};
use shiguredo_mp4::{Encode, FixedPointNumber, TrackKind};

use super::movie::any_box;
use crate::video::audio::{Audio, Packet};
use crate::video::output::{Output, Scratch};
use crate::{Error, Result};

/// Seconds of sound that lie together between frames.
const SOUND_SECONDS: f64 = 0.5;

/// What goes into a file.
pub(super) struct Contents {
    pub(super) quicktime: bool,
    pub(super) fps: f64,
    pub(super) frames: Vec<CodedFrame>,
    pub(super) sps: Vec<Vec<u8>>,
    pub(super) pps: Vec<Vec<u8>>,
    pub(super) audio: Option<Audio>,
}

/// A coded frame in the file of coded frames.
pub(super) struct CodedFrame {
    pub(super) size: usize,
    pub(super) keyframe: bool,
}

/// Sound that is heard with the frames.
struct Cut<'a> {
    audio: &'a Audio,
    packets: &'a [Packet],
    /// When the first packet begins, in seconds from the first frame.
    lead: f64,
    seconds: f64,
}

/// A frame or packet, in the order of the file.
#[derive(Clone, Copy)]
enum Piece<'a> {
    Frame(&'a CodedFrame),
    Packet(&'a Packet),
}

impl Contents {
    /// Writes the file: the index, then frames out of `coded` and sound out of its own file.
    pub(super) fn write(&self, coded: &mut dyn Scratch, output: &mut Output) -> Result<()> {
        let path = &output.name().to_owned();
        let seconds = self.frames.len() as f64 / self.fps;
        let cut = self.audio.as_ref().map(|audio| {
            let (packets, lead) = audio.cut(seconds);
            Cut { audio, packets, lead, seconds }
        });
        let cut = cut.filter(|cut| !cut.packets.is_empty());
        let pieces = self.pieces(cut.as_ref());
        let (muxer, start) = self.index(&pieces, cut.as_ref()).map_err(|e| failed(path, &*e))?;
        let boxes = muxer.finalized_boxes().ok_or_else(|| failed(path, &"it has no index"))?;
        let head = self.head(boxes, cut.as_ref()).map_err(|e| failed(path, &*e))?;
        let mut output = BufWriter::new(output);
        write_head(boxes, &head, start, &mut output).map_err(Error::io(path))?;
        coded.seek(SeekFrom::Start(0)).map_err(Error::io(path))?;
        let mut coded = BufReader::new(coded);
        let mut sound = cut.map(|cut| cut.audio.file.reader().map(BufReader::new)).transpose()?;
        for piece in pieces {
            match (piece, &mut sound) {
                (Piece::Packet(packet), Some(sound)) => copy_packet(packet, sound, &mut output),
                (Piece::Packet(_), None) => Ok(()),
                (Piece::Frame(frame), _) => copy(&mut coded, frame.size as u64, &mut output),
            }
            .map_err(Error::io(path))?;
        }
        output.flush().map_err(Error::io(path))
    }

    /// Frames by their times, sound in groups among the frames that it is heard with.
    fn pieces<'a>(&'a self, cut: Option<&Cut<'a>>) -> Vec<Piece<'a>> {
        let mut packets = cut.map_or(&[][..], |cut| cut.packets).iter().peekable();
        let mut pieces = Vec::with_capacity(self.frames.len() + packets.len());
        let begin = cut.map_or(0.0, |cut| cut.audio.begin);
        let mut heard = 0.0;
        for (index, frame) in self.frames.iter().enumerate() {
            // The first piece is a frame, so that the first track is the video.
            pieces.push(Piece::Frame(frame));
            if index as f64 / self.fps >= heard {
                heard += SOUND_SECONDS;
                while let Some(packet) = packets.next_if(|packet| packet.at - begin < heard) {
                    pieces.push(Piece::Packet(packet));
                }
            }
        }
        pieces.extend(packets.map(Piece::Packet));
        pieces
    }

    /// The index for all pieces, and how many bytes go in front of them.
    fn index(&self, pieces: &[Piece], cut: Option<&Cut>) -> Result<(Mp4FileMuxer, u64), Box<dyn std::error::Error>> {
        let mut avc1 = build_avc1_box(&self.sps, &self.pps, &H264SampleEntryConfig { length_size: LengthSize::FourBytes })?;
        avc1.unknown_boxes.push(colour_box(self.quicktime));
        let mut picture = Some(SampleEntry::Avc1(avc1));
        let mut sound = cut.map(|cut| SampleEntry::Unknown(any_box(cut.audio.kind, cut.audio.entry.clone())));
        let counts = [self.frames.len(), cut.map_or(0, |cut| cut.packets.len())];
        let reserved_moov_box_size = estimate_maximum_moov_box_size(&counts);
        let mut muxer = Mp4FileMuxer::with_options(Mp4FileMuxerOptions { reserved_moov_box_size, ..Default::default() })?;
        let start = muxer.initial_boxes_bytes().len() as u64;
        let (frame_scale, frame_ticks) = frame_time(self.fps);
        let sound_scale = cut.and_then(|cut| NonZeroU32::new(cut.audio.timescale)).unwrap_or(NonZeroU32::MIN);
        let mut data_offset = start;
        for piece in pieces {
            let (track_kind, sample_entry, timescale, duration, data_size, keyframe) = match piece {
                Piece::Frame(frame) => (TrackKind::Video, picture.take(), frame_scale, frame_ticks, frame.size, frame.keyframe),
                Piece::Packet(packet) => (TrackKind::Audio, sound.take(), sound_scale, packet.duration, packet.size as usize, true),
            };
            let composition_time_offset = None;
            muxer.append_sample(&Sample {
                track_kind,
                sample_entry,
                keyframe,
                timescale,
                duration,
                composition_time_offset,
                data_offset,
                data_size,
            })?;
            data_offset += data_size as u64;
        }
        muxer.finalize()?;
        Ok((muxer, start))
    }

    /// All boxes in front of the data: as the library makes them, but for the edit list of the sound, which it has none of.
    fn head(&self, boxes: &FinalizedBoxes, cut: Option<&Cut>) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let mut head = boxes.offset_and_bytes_pairs().next().map(|(_, bytes)| bytes.to_vec()).unwrap_or_default();
        if let Some(cut) = cut {
            let mut moov = boxes.moov_box().clone();
            let timescale = moov.mvhd_box.timescale.get();
            let sound = moov.trak_boxes.iter_mut().find(|trak| trak.mdia_box.hdlr_box.handler_type == HdlrBox::HANDLER_TYPE_SOUN);
            let sound = sound.ok_or("it lost its sound")?;
            sound.edts_box = Some(EdtsBox { elst_box: Some(ElstBox { entries: cut.edits(timescale) }), unknown_boxes: Vec::new() });
            sound.tkhd_box.duration = (cut.seconds * f64::from(timescale)).round() as u64;
            let len = head.len();
            let ftyp = head.first_chunk().map_or(0, |size| u32::from_be_bytes(*size) as usize);
            head.truncate(ftyp);
            head.extend(moov.encode_to_vec()?);
            let free = len.checked_sub(head.len() + 8).ok_or("its index is larger than expected")?;
            head.extend(any_box(*b"free", vec![0; free]).encode_to_vec()?);
        }
        if self.quicktime {
            // In `ftyp`, behind its size and name: the major brand, the minor version, the first compatible brand.
            head[8..20].copy_from_slice(b"qt  \0\0\0\0qt  ");
        }
        Ok(head)
    }
}

impl Cut<'_> {
    /// Silence before the first packet, or what is not heard of it; then sound as long as the frames.
    fn edits(&self, timescale: u32) -> Vec<ElstEntry> {
        let media_rate = FixedPointNumber::new(1, 0);
        let ticks = |seconds: f64| (seconds.max(0.0) * f64::from(timescale)).round() as u64;
        let heard = ElstEntry {
            edit_duration: ticks(self.seconds - self.lead.max(0.0)),
            media_time: ((-self.lead).max(0.0) * f64::from(self.audio.timescale)).round() as i64,
            media_rate,
        };
        let silence = ElstEntry { edit_duration: ticks(self.lead), media_time: -1, media_rate };
        if silence.edit_duration > 0 { vec![silence, heard] } else { vec![heard] }
    }
}

fn write_head(boxes: &FinalizedBoxes, head: &[u8], start: u64, output: &mut (impl Write + Seek)) -> io::Result<()> {
    output.write_all(head)?;
    for (offset, bytes) in boxes.offset_and_bytes_pairs().skip(1) {
        output.seek(SeekFrom::Start(offset))?;
        output.write_all(bytes)?;
    }
    output.seek(SeekFrom::Start(start)).map(drop)
}

fn copy_packet(packet: &Packet, sound: &mut (impl Read + Seek), output: &mut impl Write) -> io::Result<()> {
    sound.seek(SeekFrom::Start(packet.offset))?;
    copy(sound, packet.size.into(), output)
}

/// Copies so many bytes, or fails.
fn copy(from: &mut impl Read, size: u64, output: &mut impl Write) -> io::Result<()> {
    match io::copy(&mut from.take(size), output)? == size {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Ticks a second, and how many a frame lasts. Rates of n or n/1.001 are exact.
fn frame_time(fps: f64) -> (NonZeroU32, u32) {
    let exact = |ticks: u32| {
        let scaled = fps * f64::from(ticks);
        (scaled.round() >= 1.0 && (scaled / scaled.round() - 1.0).abs() < 1e-6).then_some((scaled, ticks))
    };
    let (timescale, ticks) = exact(1).map(|_| (fps * 1000.0, 1000)).or_else(|| exact(1001)).unwrap_or((fps * 100_000.0, 100_000));
    (NonZeroU32::new(timescale.round() as u32).unwrap_or(NonZeroU32::MIN), ticks)
}

/// Says BT.709 to players that do not look into the stream.
fn colour_box(quicktime: bool) -> UnknownBox {
    let payload = if quicktime { b"nclc\0\x01\0\x01\0\x01".to_vec() } else { b"nclx\0\x01\0\x01\0\x01\0".to_vec() };
    any_box(*b"colr", payload)
}

pub(super) fn failed(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Input(format!("{}: cannot encode the video: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_rates_are_exact() {
        let time = |fps| {
            let (timescale, ticks) = frame_time(fps);
            (timescale.get(), ticks)
        };
        assert_eq!(time(30.0), (30_000, 1000));
        assert_eq!(time(16.0), (16_000, 1000));
        assert_eq!(time(30_000.0 / 1001.0), (30_000, 1001));
        assert_eq!(time(24_000.0 / 1001.0), (24_000, 1001));
        assert_eq!(time(12.5), (1_250_000, 100_000));
        assert_eq!(time(1000.0), (1_000_000, 1000));
        assert_eq!(time(1e-9), (1, 100_000));
    }
}
