//! What an H.264 track says of itself before anything is decoded, and whether the decoder can do it.

use std::io::{Read, SeekFrom};
use std::path::Path;

use shiguredo_mp4::Decode;
use shiguredo_mp4::bitstream::h264::{LengthSize, parse_sps};
use shiguredo_mp4::boxes::AvccBox;

use super::boxes::find;
use super::movie::damaged;
use super::refusal::{Refusal, unsupported};
use super::samples::Sample;
use super::slice::{Pps, is_temporal_cavlc};
use super::sps::Sps;
use crate::content::ReadSeek;
use crate::video::colour::Colour;
use crate::{Error, Result};

/// The largest picture of OpenH264, in pixels (36,864 macroblocks of level 5.2).
const MAX_PIXELS: u32 = 36_864 * 256;

/// Of a sample entry, in front of the boxes in it.
const ENTRY_FIELDS: usize = 78;

/// More than a header of a slice takes, or than any parameter set.
const SLICE_HEADER_BYTES: u64 = 64;
const SET_BYTES: u64 = 1 << 16;

const SLICE: u8 = 1;
const IDR: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;

/// What is known of a track's stream.
pub(super) struct Format {
    /// The parameter sets that hold from the start, as NAL units with start codes.
    pub(super) parameter_sets: Vec<u8>,
    pub(super) length_size: LengthSize,
    pub(super) size: (u32, u32),
    pub(super) colour: Colour,
    /// For every sample, whether it is an IDR frame, which needs no other.
    pub(super) idr: Vec<bool>,
}

impl Format {
    /// From the payload of an `avc1` or `avc3` sample entry, and the NAL units of the samples.
    pub(super) fn read(path: &Path, file: &mut dyn ReadSeek, entry: &[u8], samples: &[Sample]) -> Result<Self, Refusal> {
        let broken = |what: &str| damaged(path, &format!("its H.264 {what} is broken"));
        let children = entry.get(ENTRY_FIELDS..).unwrap_or_default();
        let avcc = find(children, *b"avcC").and_then(decode_avcc).ok_or_else(|| broken("configuration"))?;
        let length_size = LengthSize::from_length_size_minus_one(avcc.length_size_minus_one.get()).map_err(|_| broken("configuration"))?;
        let sets: Vec<_> = avcc.sps_list.into_iter().chain(avcc.pps_list).collect();
        let mut stream = Stream { path, file, length_size, configured: sets.len(), sets };
        let idr = stream.read_syncs(samples)?;
        if idr.first() != Some(&true) {
            return unsupported("its first frame needs frames before it (it is no IDR frame), as where a longer video was cut");
        }
        let sets = stream.parse_sets().ok_or_else(|| broken("parameter set"))?;
        let first = sets.first().ok_or_else(|| damaged(path, "it has no H.264 parameter set"))?;
        let sizes = stream.sizes().ok_or_else(|| broken("parameter set"))?;
        let size = sizes[0];
        sets.iter().try_for_each(|(sps, _)| check(sps))?;
        if sizes.iter().any(|other| *other != size) {
            return unsupported("its pictures change their size, which is not read");
        }
        if size.0 * size.1 > MAX_PIXELS {
            return unsupported(format!("{}x{} pixels are more than the H.264 decoder takes", size.0, size.1));
        }
        if stream.has_temporal_cavlc(samples, &sets)? {
            return unsupported("it is H.264 with temporal direct prediction under CAVLC, which the decoder does not decode exactly");
        }
        let colour = colour(&first.0, children);
        let configured = &stream.sets[..stream.configured];
        let parameter_sets = configured.iter().flat_map(|set| [0, 0, 0, 1].into_iter().chain(set.iter().copied())).collect();
        Ok(Self { parameter_sets, length_size, size, colour, idr })
    }
}

fn decode_avcc(payload: &[u8]) -> Option<AvccBox> {
    let size = u32::try_from(payload.len() + 8).ok()?;
    let bytes = [&size.to_be_bytes()[..], b"avcC", payload].concat();
    AvccBox::decode(&bytes).ok().map(|(avcc, _)| avcc)
}

/// What the decoder cannot do.
fn check(sps: &Sps) -> Result<(), Refusal> {
    const HIGH_444_PREDICTIVE: u32 = 244;
    if sps.chroma_format != 1 || sps.bit_depths != (8, 8) {
        return unsupported("H.264 is read with 8 bits and 4:2:0 only");
    }
    if sps.profile == HIGH_444_PREDICTIVE {
        return unsupported("it is lossless H.264 (High 4:4:4 Predictive), which is not read");
    }
    if ![66, 77, 88, 100].contains(&sps.profile) {
        return unsupported(format!("it is H.264 of profile {}, and only Baseline, Main and High are read", sps.profile));
    }
    if sps.interlaced {
        return unsupported("interlaced H.264 is not read");
    }
    Ok(())
}

/// By the stream, else by the `colr` box.
fn colour(sps: &Sps, children: &[u8]) -> Colour {
    let boxed = match find(children, *b"colr") {
        Some([b'n', b'c', b'l', b'x', _, _, _, _, _, matrix, range, ..]) => Some((*matrix, range >> 7 == 1)),
        Some([b'n', b'c', b'l', b'c', _, _, _, _, _, matrix, ..]) => Some((*matrix, false)),
        _ => None,
    };
    let matrix = sps.matrix.or(boxed.map(|(matrix, _)| matrix)).unwrap_or(2);
    Colour::from_matrix(matrix, sps.full_range.or(boxed.map(|(_, full_range)| full_range)).unwrap_or(false))
}

/// The NAL units of a track, as far as they must be looked at.
struct Stream<'a> {
    path: &'a Path,
    file: &'a mut dyn ReadSeek,
    length_size: LengthSize,
    /// Parameter sets: those of the sample entry, and those of samples that differ.
    sets: Vec<Vec<u8>>,
    /// How many of them hold from the start: the sample entry's, or the first sample's where that has none.
    configured: usize,
}

impl Stream<'_> {
    /// Looks at all samples that the container says decoding can start at, and the first: which of them are IDR frames, and what
    /// parameter sets are in them.
    fn read_syncs(&mut self, samples: &[Sample]) -> Result<Vec<bool>> {
        let mut idr = vec![false; samples.len()];
        for (index, sample) in samples.iter().enumerate().filter(|(index, sample)| *index == 0 || sample.sync) {
            for nal in self.nals(sample)? {
                match nal.first().map(|header| header & 0x1f) {
                    Some(IDR) => idr[index] = true,
                    Some(SPS | PPS) if !self.sets.contains(&nal) => self.sets.push(nal),
                    _ => {}
                }
            }
            if self.configured == 0 {
                self.configured = self.sets.len();
            }
        }
        Ok(idr)
    }

    /// The starts of a sample's NAL units up to its first slice; parameter sets whole.
    fn nals(&mut self, sample: &Sample) -> Result<Vec<Vec<u8>>> {
        let io = |e| Error::io(self.path)(e);
        let (mut nals, mut position, end) = (Vec::new(), sample.offset, sample.offset + u64::from(sample.size));
        let prefix = self.length_size.bytes();
        while position + (prefix as u64) < end {
            let mut length = [0; 8];
            self.file.seek(SeekFrom::Start(position)).map_err(io)?;
            self.file.read_exact(&mut length[8 - prefix..]).map_err(io)?;
            position += prefix as u64;
            let length = u64::from_be_bytes(length).min(end - position);
            let mut start = vec![0; length.min(SLICE_HEADER_BYTES) as usize];
            self.file.read_exact(&mut start).map_err(io)?;
            let kind = start.first().map_or(0, |header| header & 0x1f);
            if matches!(kind, SPS | PPS) {
                let rest = length.min(SET_BYTES) - start.len() as u64;
                (&mut *self.file).take(rest).read_to_end(&mut start).map_err(io)?;
            }
            nals.push(start);
            if matches!(kind, SLICE..=IDR) {
                break;
            }
            position += length;
        }
        Ok(nals)
    }

    /// The sequence parameter sets, each with the picture parameter sets that go by it.
    fn parse_sets(&self) -> Option<Vec<(Sps, Vec<Pps>)>> {
        let of_kind = |kind: u8| self.sets.iter().filter(move |set| set.first().is_some_and(|header| header & 0x1f == kind));
        let pps: Vec<Pps> = of_kind(PPS).filter_map(|set| Pps::parse(set)).collect();
        let with_pps = |sps: Sps| {
            let own = pps.iter().copied().filter(|pps| pps.sps_id == sps.id).collect();
            (sps, own)
        };
        of_kind(SPS).map(|set| Sps::parse(set).map(with_pps)).collect()
    }

    /// The pictures' sizes by the sequence parameter sets.
    fn sizes(&self) -> Option<Vec<(u32, u32)>> {
        let sets = self.sets.iter().filter(|set| set.first().is_some_and(|header| header & 0x1f == SPS));
        sets.map(|set| parse_sps(set).ok().map(|sps| (u32::from(sps.width), u32::from(sps.height)))).collect()
    }

    /// Whether a slice is coded in the one way that OpenH264 decodes to other pictures than it should.
    fn has_temporal_cavlc(&mut self, samples: &[Sample], sets: &[(Sps, Vec<Pps>)]) -> Result<bool> {
        if sets.iter().all(|(_, pps)| pps.iter().all(|pps| pps.cabac)) || sets.iter().all(|(sps, _)| sps.profile == 66) {
            return Ok(false);
        }
        for sample in samples {
            let nals = self.nals(sample)?;
            let slice = nals.last().filter(|nal| matches!(nal.first().map(|header| header & 0x1f), Some(SLICE | IDR)));
            if slice.and_then(|slice| is_temporal_cavlc(slice, sets)) == Some(true) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
