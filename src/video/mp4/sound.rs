//! The sound track of an MP4 or MOV file.

use std::io::{Seek, SeekFrom};
use std::path::Path;

use shiguredo_mp4::Encode;
use shiguredo_mp4::boxes::{ElstEntry, HdlrBox, TrakBox};

use super::boxes::find;
use super::edits::present;
use super::movie::{Movie, any_box, sample_entry};
use super::refusal::{Refusal, unsupported};
use super::samples::{Sample, read_samples};
use super::track::video_track;
use crate::location::Location;
use crate::video::audio::{Audio, Packet};
use crate::{Error, Result};

/// Of a sound's sample entry, in front of the boxes in it, by its version.
const ENTRY_FIELDS: [usize; 2] = [28, 44];

/// The first sound track of the file at `path`, with times from the first frame of its video; `None` where there is none.
///
/// # Errors
/// [`Error::Unsupported`] where it cannot be copied.
pub(in crate::video) fn read_audio(location: &Location) -> Result<Option<Audio>> {
    let (path, mut file) = (location.path(), location.reader()?);
    let movie = Movie::read(path, &mut *file)?;
    let Some(track) = movie.tracks_of(HdlrBox::HANDLER_TYPE_SOUN).next() else { return Ok(None) };
    let file_len = file.seek(SeekFrom::End(0)).map_err(Error::io(path))?;
    match from_track(location, &movie, track, file_len) {
        Ok(audio) => Ok(Some(audio)),
        Err(Refusal::Unsupported(reason)) => Err(Error::Unsupported(format!("{}: {reason}", path.display()))),
        Err(Refusal::Failed(error)) => Err(error),
    }
}

fn from_track(location: &Location, movie: &Movie, track: &TrakBox, file_len: u64) -> Result<Audio, Refusal> {
    let path = location.path();
    if movie.fragmented {
        return unsupported("sound of a fragmented MP4 is not copied");
    }
    let (samples, entry) = read_samples(path, &track.mdia_box.minf_box.stbl_box, file_len)?;
    let Some((kind, entry)) = entry.map(sample_entry) else { return unsupported("sound that changes its codec midway is not copied") };
    let Some(entry) = plain_entry(kind, entry) else {
        return unsupported(format!("sound of the kind `{}` is not copied", kind.escape_ascii()));
    };
    let timescale = track.mdia_box.mdhd_box.timescale.get();
    let Some(delay) = delay(edits(track), (movie.timescale, timescale)) else {
        return unsupported("sound that is put together from pieces is not copied");
    };
    let video = video_start(path, movie, file_len)?;
    let seconds = |ticks: i64| ticks as f64 / f64::from(timescale);
    let packet = |sample: &Sample| Packet {
        offset: sample.offset,
        size: sample.size,
        duration: sample.duration,
        at: seconds(sample.shown) + delay - video,
    };
    Ok(Audio { file: location.clone(), kind, entry, timescale, packets: samples.iter().map(packet).collect(), begin: 0.0 })
}

fn edits(track: &TrakBox) -> &[ElstEntry] {
    track.edts_box.as_ref().and_then(|edts| edts.elst_box.as_ref()).map(|elst| elst.entries.as_slice()).unwrap_or_default()
}

/// How much later than its own times a track is heard, in seconds: empty edits and one whole piece.
fn delay(edits: &[ElstEntry], (movie, track): (u32, u32)) -> Option<f64> {
    let (mut delay, mut pieces) = (0.0, 0);
    for edit in edits {
        match edit.media_time {
            ..0 => delay += edit.edit_duration as f64 / f64::from(movie),
            begin => {
                delay -= begin as f64 / f64::from(track);
                pieces += 1;
            }
        }
    }
    (pieces <= 1).then_some(delay)
}

/// When the first frame of the video is shown, in seconds from the movie's start.
fn video_start(path: &Path, movie: &Movie, file_len: u64) -> Result<f64, Refusal> {
    let (track, samples) = video_track(path, movie, file_len)?;
    let mut shown: Vec<(i64, u32)> = samples.iter().map(|sample| (sample.shown, sample.duration)).collect();
    shown.sort_by_key(|&(begin, _)| begin);
    let timescale = track.mdia_box.mdhd_box.timescale.get();
    let presentation = present(edits(track), (movie.timescale, timescale), &shown).map_err(Refusal::Unsupported)?;
    Ok(presentation.ticks[0] as f64 / f64::from(timescale))
}

/// A sample entry of version 0, as all players know it; `None` for what is not copied.
fn plain_entry(kind: [u8; 4], entry: &[u8]) -> Option<Vec<u8>> {
    if !matches!(&kind, b"mp4a" | b"Opus" | b"fLaC" | b"alac" | b"ac-3" | b"ec-3") {
        return None;
    }
    let version = usize::from(u16::from_be_bytes(*entry.get(8..)?.first_chunk()?));
    let children = entry.get(*ENTRY_FIELDS.get(version)?..)?;
    if version == 0 && (&kind != b"mp4a" || find(children, *b"esds").is_some()) {
        return Some(entry.to_vec());
    }
    if &kind != b"mp4a" {
        return None;
    }
    // QuickTime puts what decoders need into a box of its own.
    let esds = find(children, *b"esds").or_else(|| find(find(children, *b"wave")?, *b"esds"))?;
    let mut plain = entry[..ENTRY_FIELDS[0]].to_vec();
    plain[8..16].fill(0);
    plain[20..24].fill(0);
    plain.extend(any_box(*b"esds", esds.to_vec()).encode_to_vec().ok()?);
    Some(plain)
}
