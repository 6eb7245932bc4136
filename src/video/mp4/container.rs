//! The video track of an MP4 or MOV file: where each frame's bytes are, and in what order they are shown.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use shiguredo_mp4::Decode;
use shiguredo_mp4::aux::SampleTableAccessor;
use shiguredo_mp4::bitstream::h264::{LengthSize, parse_sps};
use shiguredo_mp4::boxes::{Avc1Box, HdlrBox, MoovBox, SampleEntry, StblBox, TrakBox};

use super::{colour::Colour, sps::Sps};
use crate::{Error, Result};

/// The largest picture of OpenH264, in pixels (36,864 macroblocks of level 5.2).
const MAX_PIXELS: u32 = 36_864 * 256;

/// A real file has a handful of top-level boxes before `moov`.
const MAX_BOXES: usize = 10_000;

/// An H.264 track.
pub(super) struct Track {
    /// In the order of decoding.
    pub(super) samples: Vec<Sample>,
    /// The samples that decoding can start at: all later ones are also shown later. Always begins with 0.
    pub(super) entries: Vec<usize>,
    /// Parameter sets, as NAL units with start codes.
    pub(super) parameter_sets: Vec<u8>,
    pub(super) length_size: LengthSize,
    /// Before the rotation.
    pub(super) size: (u32, u32),
    pub(super) rotation: Rotation,
    pub(super) colour: Colour,
    pub(super) fps: Option<f64>,
}

/// Where the bytes of one coded frame are.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    pub(super) offset: u64,
    pub(super) size: u32,
}

/// How far a picture is turned, clockwise, to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rotation {
    None,
    Quarter,
    Half,
    ThreeQuarters,
}

impl Rotation {
    /// From the upper left of a track's matrix, 16.16 fixed point. Anything but a turn by quarters is passed over.
    fn from_matrix([a, b, _, c, d, ..]: [i32; 9]) -> Self {
        const ONE: i32 = 1 << 16;
        match [a, b, c, d] {
            [0, ONE, c, 0] if c == -ONE => Self::Quarter,
            [a, 0, 0, d] if a == -ONE && d == -ONE => Self::Half,
            [0, b, ONE, 0] if b == -ONE => Self::ThreeQuarters,
            _ => Self::None,
        }
    }
}

impl Track {
    /// Reads the index of `file`, whose name is `path`.
    pub(super) fn read(path: &Path, file: &mut File) -> Result<Self> {
        let file_len = file.metadata().map_err(Error::io(path))?.len();
        let moov = read_moov(path, file, file_len)?;
        let (moov, _) = MoovBox::decode(&moov).map_err(|e| damaged(path, format!("{e}")))?;
        let fragmented = moov.mvex_box.is_some();
        let track = moov.trak_boxes.into_iter().find(|track| track.mdia_box.hdlr_box.handler_type == HdlrBox::HANDLER_TYPE_VIDE);
        let track = track.ok_or_else(|| Error::Input(format!("{}: has no video track", path.display())))?;
        if fragmented {
            let message = "fragmented MP4 is not read; rewrite it, for example with `ffmpeg -i IN -c copy OUT.mp4`";
            return Err(Error::Unsupported(format!("{}: {message}", path.display())));
        }
        Self::from_box(path, track, file_len)
    }

    fn from_box(path: &Path, track: TrakBox, file_len: u64) -> Result<Self> {
        let rotation = Rotation::from_matrix(track.tkhd_box.matrix);
        let timescale = f64::from(track.mdia_box.mdhd_box.timescale.get());
        let stbl = track.mdia_box.minf_box.stbl_box;
        let avc1 = h264_entry(path, &stbl)?;
        let format = Format::read(path, &avc1)?;
        let table = SampleTableAccessor::new(&stbl).map_err(|e| damaged(path, format!("{e}")))?;
        let num_samples = u64::from(table.sample_count());
        if num_samples == 0 {
            return Err(Error::Input(format!("{}: the video track has no frames", path.display())));
        }
        // No sample is empty, so more samples than bytes cannot be; this bounds what is allocated.
        if num_samples > file_len {
            return Err(damaged(path, "it claims more frames than it has bytes".into()));
        }
        let mut samples = Vec::new();
        let (mut times, mut syncs, mut duration) = (Vec::new(), Vec::new(), 0);
        for sample in table.samples() {
            let (offset, size) = (sample.data_offset(), sample.data_size());
            if offset.checked_add(u64::from(size)).is_none_or(|end| end > file_len) {
                let message = format!("frame {} of {num_samples} lies beyond its end; it is cut short", samples.len());
                return Err(damaged(path, message));
            }
            samples.push(Sample { offset, size });
            times.push(i128::from(sample.timestamp()) + i128::from(sample.composition_time_offset().unwrap_or(0)));
            syncs.push(sample.is_sync_sample());
            duration += u64::from(sample.duration());
        }
        Ok(Self {
            samples,
            entries: entries(&times, &syncs),
            parameter_sets: format.parameter_sets,
            length_size: format.length_size,
            size: format.size,
            rotation,
            colour: format.colour,
            fps: (duration > 0).then(|| num_samples as f64 * timescale / duration as f64),
        })
    }
}

/// Which samples decoding can start at, given when each is shown and whether it is a sync sample.
fn entries(times: &[i128], syncs: &[bool]) -> Vec<usize> {
    let mut shown: Vec<usize> = (0..times.len()).collect();
    shown.sort_by_key(|&sample| times[sample]);
    let mut rank = vec![0; times.len()];
    shown.iter().enumerate().for_each(|(index, &sample)| rank[sample] = index);
    let mut first_shown = usize::MAX;
    let mut entries = Vec::new();
    for sample in (0..times.len()).rev() {
        first_shown = first_shown.min(rank[sample]);
        // The samples from here on are exactly the frames from here on, and this one is the first of them.
        if sample == 0 || (syncs[sample] && rank[sample] == sample && first_shown == sample) {
            entries.push(sample);
        }
    }
    entries.reverse();
    entries
}

struct Format {
    parameter_sets: Vec<u8>,
    length_size: LengthSize,
    size: (u32, u32),
    colour: Colour,
}

impl Format {
    fn read(path: &Path, avc1: &Avc1Box) -> Result<Self> {
        let avcc = &avc1.avcc_box;
        let first = avcc.sps_list.first().ok_or_else(|| damaged(path, "it has no H.264 parameter set".into()))?;
        let broken = || damaged(path, "its H.264 parameter set is broken".into());
        let (dimensions, sps) = (parse_sps(first).map_err(|_| broken())?, Sps::parse(first).ok_or_else(broken)?);
        let size = (u32::from(dimensions.width), u32::from(dimensions.height));
        let advice = "convert it, for example with `ffmpeg -i IN -c:v libx264 -crf 12 -pix_fmt yuv420p OUT.mp4`";
        let unsupported = |what: String| Err(Error::Unsupported(format!("{}: {what}; {advice}", path.display())));
        if sps.chroma_format != 1 || sps.bit_depths != (8, 8) {
            return unsupported("H.264 is read with 8 bits and 4:2:0 only".into());
        }
        if sps.interlaced {
            return unsupported("interlaced H.264 is not read".into());
        }
        if size.0 * size.1 > MAX_PIXELS {
            return unsupported(format!("{}x{} pixels are more than the H.264 decoder takes", size.0, size.1));
        }
        let boxed = container_colour(avc1);
        let matrix = sps.matrix.or(boxed.map(|(matrix, _)| matrix)).unwrap_or(2);
        let full_range = sps.full_range.or(boxed.map(|(_, full_range)| full_range)).unwrap_or(false);
        let sets = avcc.sps_list.iter().chain(&avcc.pps_list);
        Ok(Self {
            parameter_sets: sets.flat_map(|set| [0, 0, 0, 1].into_iter().chain(set.iter().copied())).collect(),
            length_size: LengthSize::from_length_size_minus_one(avcc.length_size_minus_one.get()).map_err(|_| broken())?,
            size,
            colour: Colour::from_matrix(matrix, full_range),
        })
    }
}

/// The matrix and range of a `colr` box.
fn container_colour(avc1: &Avc1Box) -> Option<(u8, bool)> {
    let payload = &avc1.unknown_boxes.iter().find(|unknown| unknown.box_type.as_bytes() == b"colr")?.payload;
    match payload.as_slice() {
        [b'n', b'c', b'l', b'x', _, _, _, _, _, matrix, range, ..] => Some((*matrix, range >> 7 == 1)),
        [b'n', b'c', b'l', b'c', _, _, _, _, _, matrix, ..] => Some((*matrix, false)),
        _ => None,
    }
}

fn h264_entry(path: &Path, stbl: &StblBox) -> Result<Avc1Box> {
    let codec = match stbl.stsd_box.entries.as_slice() {
        [SampleEntry::Avc1(avc1)] => return Ok(avc1.clone()),
        [] => return Err(damaged(path, "its video track names no codec".into())),
        [SampleEntry::Hev1(_) | SampleEntry::Hvc1(_)] => "H.265 (HEVC)".into(),
        [SampleEntry::Vp08(_)] => "VP8".into(),
        [SampleEntry::Vp09(_)] => "VP9".into(),
        [SampleEntry::Av01(_)] => "AV1".into(),
        [SampleEntry::Unknown(unknown)] => format!("`{}`", String::from_utf8_lossy(unknown.box_type.as_bytes())),
        [_] => "not a video codec".into(),
        [_, _, ..] => "a codec that changes midway".into(),
    };
    let message = format!("its video is {codec}, and only H.264 is read; convert it, for example with");
    Err(Error::Unsupported(format!("{}: {message} `ffmpeg -i IN -c:v libx264 -crf 12 -pix_fmt yuv420p OUT.mp4`", path.display())))
}

/// The bytes of the `moov` box, which is the index of the file.
fn read_moov(path: &Path, file: &mut File, file_len: u64) -> Result<Vec<u8>> {
    let io = |e| Error::io(path)(e);
    let mut position = 0;
    for _ in 0..MAX_BOXES {
        if file_len.saturating_sub(position) < 8 {
            break;
        }
        let mut header = [0; 16];
        file.seek(SeekFrom::Start(position)).map_err(io)?;
        let header_len = 16.min(file_len - position) as usize;
        file.read_exact(&mut header[..header_len]).map_err(io)?;
        let [a, b, c, d, kind @ .., _, _, _, _, _, _, _, _] = header;
        let size = match u32::from_be_bytes([a, b, c, d]) {
            0 => file_len - position,
            1 => u64::from_be_bytes(header[8..].try_into().expect("eight bytes")),
            size => u64::from(size),
        };
        if size < 8 {
            return Err(damaged(path, format!("the box at byte {position} has an impossible size")));
        }
        let end = position.checked_add(size).filter(|&end| end <= file_len);
        if &kind == b"moov" {
            let end = end.ok_or_else(|| damaged(path, "its index ends beyond the end of the file; it is cut short".into()))?;
            let mut moov = vec![0; (end - position) as usize];
            file.seek(SeekFrom::Start(position)).map_err(io)?;
            file.read_exact(&mut moov).map_err(io)?;
            return Ok(moov);
        }
        match end {
            Some(end) => position = end,
            None => break,
        }
    }
    Err(damaged(path, "it has no index (`moov` box); it is cut short, or was still being recorded".into()))
}

fn damaged(path: &Path, message: String) -> Error {
    Error::Input(format!("{}: not a whole MP4 or MOV file: {message}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_starts_only_where_nothing_earlier_is_shown_later() {
        // I P B B | I P B B, closed: the second I follows all before it.
        let times = [0, 3, 1, 2, 4, 7, 5, 6];
        let syncs = [true, false, false, false, true, false, false, false];
        assert_eq!(entries(&times, &syncs), [0, 4]);
        // The same, open: two frames decoded after the second I are shown before it.
        let times = [0, 3, 1, 2, 6, 4, 5, 7];
        assert_eq!(entries(&times, &syncs), [0]);
        assert_eq!(entries(&[0, 1, 2], &[true; 3]), [0, 1, 2]);
        assert_eq!(entries(&[0, 1, 2], &[false; 3]), [0]);
    }

    #[test]
    fn matrices_turn_by_quarters() {
        const ONE: i32 = 1 << 16;
        let matrix = |a, b, c, d| [a, b, 0, c, d, 0, 0, 0, 1 << 30];
        assert_eq!(Rotation::from_matrix(matrix(ONE, 0, 0, ONE)), Rotation::None);
        assert_eq!(Rotation::from_matrix(matrix(0, ONE, -ONE, 0)), Rotation::Quarter);
        assert_eq!(Rotation::from_matrix(matrix(-ONE, 0, 0, -ONE)), Rotation::Half);
        assert_eq!(Rotation::from_matrix(matrix(0, -ONE, ONE, 0)), Rotation::ThreeQuarters);
        assert_eq!(Rotation::from_matrix(matrix(7, 0, 0, ONE)), Rotation::None);
    }
}
