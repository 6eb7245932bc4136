//! The H.264 track of an MP4 or MOV file: which frames are presented, and where decoding can start.

use std::io::SeekFrom;
use std::path::Path;

use shiguredo_mp4::boxes::{HdlrBox, SampleEntry, TrakBox};

use super::edits::{Presentation, present};
use super::format::Format;
use super::movie::{Movie, damaged, sample_entry};
use super::orientation::Orientation;
use super::refusal::{Refusal, unsupported};
use super::samples::{Sample, read_samples};
use crate::content::ReadSeek;
use crate::video::timing::Timing;
use crate::{Error, Result};

pub(super) struct Track {
    /// In the order of decoding.
    pub(super) samples: Vec<Sample>,
    /// The samples that decoding can start at: all later ones are also shown later. Always begins with 0.
    pub(super) entries: Vec<usize>,
    pub(super) format: Format,
    pub(super) orientation: Orientation,
    pub(super) presentation: Presentation,
    pub(super) timing: Timing,
}

/// A track that may be the one to read, with its samples and their sample entry.
struct Candidate<'a> {
    track: &'a TrakBox,
    samples: Vec<Sample>,
    entry: Option<&'a SampleEntry>,
}

impl Track {
    /// Reads the index of `file`, whose name is `path`, and the headers of its stream.
    pub(super) fn read(path: &Path, file: &mut dyn ReadSeek) -> Result<Self, Refusal> {
        let file_len = file.seek(SeekFrom::End(0)).map_err(Error::io(path))?;
        let movie = Movie::read(path, file)?;
        let candidates = video_tracks(path, &movie, file_len)?;
        if movie.fragmented {
            return unsupported("it is fragmented MP4, which is not read");
        }
        let candidate = choose(path, candidates)?;
        Self::from_candidate(path, file, &movie, candidate)
    }

    fn from_candidate(path: &Path, file: &mut dyn ReadSeek, movie: &Movie, candidate: Candidate) -> Result<Self, Refusal> {
        let Candidate { track, samples, entry } = candidate;
        let (_, entry) = entry.map(sample_entry).ok_or_else(|| damaged(path, "its video track names no codec"))?;
        let orientation = Orientation::from_matrices(track.tkhd_box.matrix, movie.matrix);
        let Some(orientation) = orientation else {
            return unsupported("its pictures are turned or stretched by more than quarter turns and mirrors, which is not read");
        };
        let format = Format::read(path, file, entry, &samples)?;
        let timescale = track.mdia_box.mdhd_box.timescale.get();
        let mut shown: Vec<(i64, u32)> = samples.iter().map(|sample| (sample.shown, sample.duration)).collect();
        shown.sort_by_key(|&(begin, _)| begin);
        let edits = track.edts_box.as_ref().and_then(|edts| edts.elst_box.as_ref());
        let edits = edits.map(|elst| elst.entries.as_slice()).unwrap_or_default();
        let presentation = present(edits, (movie.timescale, timescale), &shown).map_err(Refusal::Unsupported)?;
        if presentation.frames.is_empty() {
            return Err(damaged(path, "its edit list presents no frame").into());
        }
        let duration: u64 = samples.iter().map(|sample| u64::from(sample.duration)).sum();
        let mean = (duration > 0).then(|| samples.len() as f64 * f64::from(timescale) / duration as f64);
        Ok(Self {
            entries: entries(&samples, &format.idr),
            timing: Timing::new(&presentation.ticks, f64::from(timescale), mean),
            samples,
            format,
            orientation,
            presentation,
        })
    }
}

/// All video tracks that have frames.
fn video_tracks<'a>(path: &Path, movie: &'a Movie, file_len: u64) -> Result<Vec<Candidate<'a>>> {
    let (mut candidates, mut failure) = (Vec::new(), movie.unreadable.as_deref().map(|message| damaged(path, message)));
    for track in movie.tracks_of(HdlrBox::HANDLER_TYPE_VIDE) {
        match read_samples(path, &track.mdia_box.minf_box.stbl_box, file_len) {
            Ok((samples, _)) if samples.is_empty() && !movie.fragmented => {
                failure.get_or_insert_with(|| Error::Input(format!("{}: the video track has no frames", path.display())));
            }
            Ok((samples, entry)) => candidates.push(Candidate { track, samples, entry }),
            Err(error) => drop(failure.get_or_insert(error)),
        }
    }
    if candidates.is_empty() {
        return Err(failure.unwrap_or_else(|| Error::Input(format!("{}: has no video track", path.display()))));
    }
    Ok(candidates)
}

/// The H.264 track to read. Pictures beside the video, such as covers, are passed over with all that is no H.264.
fn choose<'a>(path: &Path, candidates: Vec<Candidate<'a>>) -> Result<Candidate<'a>, Refusal> {
    let is_picture = |candidate: &Candidate| matches!(codec(candidate).as_ref(), Some(b"jpeg" | b"png "));
    if !candidates.iter().any(is_h264) {
        let other = candidates.iter().find(|candidate| !is_picture(candidate)).or(candidates.first());
        return match other.map(|candidate| (codec(candidate), candidate.track.mdia_box.minf_box.stbl_box.stsd_box.entries.len())) {
            Some((None, 2..)) => unsupported("its video changes its codec or settings midway, which is not read"),
            Some((Some(kind), _)) => unsupported(format!("its video is {}, and only H.264 is read", codec_name(kind))),
            _ => Err(damaged(path, "its video track names no codec").into()),
        };
    }
    best(candidates.into_iter().filter(is_h264)).ok_or_else(|| damaged(path, "its video track names no codec").into())
}

/// The video track that players show, whatever its codec, and its samples.
pub(super) fn video_track<'a>(path: &Path, movie: &'a Movie, file_len: u64) -> Result<(&'a TrakBox, Vec<Sample>)> {
    let candidates = video_tracks(path, movie, file_len)?;
    let any_h264 = candidates.iter().any(is_h264);
    let best = best(candidates.into_iter().filter(|candidate| is_h264(candidate) || !any_h264));
    best.map(|candidate| (candidate.track, candidate.samples)).ok_or_else(|| damaged(path, "it has no video track"))
}

/// The track that is shown: enabled before others, then the largest, then the first.
fn best<'a>(candidates: impl DoubleEndedIterator<Item = Candidate<'a>>) -> Option<Candidate<'a>> {
    let rank = |candidate: &Candidate| {
        let side = |at: usize| {
            let entry = candidate.entry.map(|entry| sample_entry(entry).1).unwrap_or_default();
            entry.get(at..at + 2).map_or(0, |side| u64::from(side[0]) << 8 | u64::from(side[1]))
        };
        (candidate.track.tkhd_box.flag_track_enabled, side(24) * side(26))
    };
    // Of equals the last is the greatest.
    candidates.rev().max_by_key(rank)
}

fn codec(candidate: &Candidate) -> Option<[u8; 4]> {
    candidate.entry.map(|entry| sample_entry(entry).0)
}

fn is_h264(candidate: &Candidate) -> bool {
    matches!(codec(candidate).as_ref(), Some(b"avc1" | b"avc3"))
}

fn codec_name(kind: [u8; 4]) -> String {
    match &kind {
        b"hvc1" | b"hev1" | b"dvh1" | b"dvhe" => "H.265 (HEVC)".into(),
        b"vp08" => "VP8".into(),
        b"vp09" => "VP9".into(),
        b"av01" => "AV1".into(),
        b"mp4v" => "MPEG-4 Part 2".into(),
        b"jpeg" | b"mjpa" | b"mjpb" => "Motion JPEG".into(),
        b"png " => "PNG".into(),
        [b'a', b'p', ..] => "ProRes".into(),
        other => format!("`{}`", other.escape_ascii()),
    }
}

/// Which samples decoding can start at, given which are IDR frames.
fn entries(samples: &[Sample], idr: &[bool]) -> Vec<usize> {
    let mut shown: Vec<usize> = (0..samples.len()).collect();
    shown.sort_by_key(|&sample| samples[sample].shown);
    let mut rank = vec![0; samples.len()];
    shown.iter().enumerate().for_each(|(index, &sample)| rank[sample] = index);
    let mut first_shown = usize::MAX;
    let mut entries = Vec::new();
    for sample in (0..samples.len()).rev() {
        first_shown = first_shown.min(rank[sample]);
        // The samples from here on are exactly the frames from here on, and this one is the first of them.
        if sample == 0 || (idr[sample] && rank[sample] == sample && first_shown == sample) {
            entries.push(sample);
        }
    }
    entries.reverse();
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(times: &[i64], idr: &[bool]) -> Vec<usize> {
        let sample = |&shown: &i64| Sample { offset: 0, size: 1, shown, duration: 1, sync: true };
        entries(&times.iter().map(sample).collect::<Vec<_>>(), idr)
    }

    #[test]
    fn decoding_starts_only_where_nothing_earlier_is_shown_later() {
        // I P B B | I P B B, closed: the second I follows all before it.
        let times = [0, 3, 1, 2, 4, 7, 5, 6];
        let idr = [true, false, false, false, true, false, false, false];
        assert_eq!(starts(&times, &idr), [0, 4]);
        // The same, open: two frames decoded after the second I are shown before it.
        let times = [0, 3, 1, 2, 6, 4, 5, 7];
        assert_eq!(starts(&times, &idr), [0]);
        assert_eq!(starts(&[0, 1, 2], &[true; 3]), [0, 1, 2]);
        assert_eq!(starts(&[0, 1, 2], &[false; 3]), [0]);
    }
}
