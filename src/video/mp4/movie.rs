//! The index of an MP4 or MOV file, and its tracks.

use std::io::SeekFrom;
use std::path::Path;

use shiguredo_mp4::boxes::{MvhdBox, SampleEntry, TrakBox, UnknownBox};
use shiguredo_mp4::{BoxSize, BoxType, Decode, Encode};

use super::boxes::{boxes, find_mut, header};
use crate::content::ReadSeek;
use crate::{Error, Result};

/// A real file has a handful of top-level boxes before `moov`.
const MAX_BOXES: usize = 10_000;

/// Set in the first byte of a sample entry's kind to keep it unknown to the library, and so as it is: QuickTime's and other people's
/// entries hold more than it can tell apart, and a copied track wants its own.
const UNKNOWN: u8 = 0x80;

/// What a file says of its tracks.
pub(super) struct Movie {
    /// Ticks a second of edit lists' durations.
    pub(super) timescale: u32,
    pub(super) matrix: [i32; 9],
    /// Whether frames are told of piece by piece, all over the file.
    pub(super) fragmented: bool,
    pub(super) tracks: Vec<TrakBox>,
    /// Why a track cannot be read, if there is one.
    pub(super) unreadable: Option<String>,
}

impl Movie {
    /// Reads the index of `file`, whose name is `path`.
    pub(super) fn read(path: &Path, file: &mut dyn ReadSeek) -> Result<Self> {
        let file_len = file.seek(SeekFrom::End(0)).map_err(Error::io(path))?;
        let moov = read_moov(path, file, file_len)?;
        let (mut mvhd, mut fragmented, mut tracks, mut unreadable) = (None, false, Vec::new(), None);
        for (kind, payload) in boxes(&moov) {
            match &kind {
                b"mvhd" => mvhd = Some(MvhdBox::decode(&with_header(kind, payload)).map_err(|e| damaged(path, &e.to_string()))?.0),
                b"mvex" => fragmented = true,
                b"trak" => match read_track(payload) {
                    Ok(track) => tracks.push(track),
                    Err(message) => unreadable = Some(message),
                },
                _ => {}
            }
        }
        let mvhd = mvhd.ok_or_else(|| damaged(path, "its index has no header (`mvhd` box)"))?;
        Ok(Self { timescale: mvhd.timescale.get(), matrix: mvhd.matrix, fragmented, tracks, unreadable })
    }

    /// The tracks of a kind, in the file's order.
    pub(super) fn tracks_of(&self, handler: [u8; 4]) -> impl Iterator<Item = &TrakBox> {
        self.tracks.iter().filter(move |track| track.mdia_box.hdlr_box.handler_type == handler)
    }
}

/// The kind of a sample entry, such as `avc1`, and what is in it.
pub(super) fn sample_entry(entry: &SampleEntry) -> ([u8; 4], &[u8]) {
    match entry {
        SampleEntry::Unknown(unknown) => {
            let [first, rest @ ..] = *unknown.box_type.as_bytes().first_chunk().unwrap_or(b"none");
            ([&[first & !UNKNOWN][..], &rest].concat().try_into().unwrap_or(*b"none"), &unknown.payload)
        }
        _ => (*b"none", &[]),
    }
}

/// A box of a kind that the library need not know.
pub(super) fn any_box(kind: [u8; 4], payload: Vec<u8>) -> UnknownBox {
    let box_type = BoxType::Normal(kind);
    UnknownBox { box_type, box_size: BoxSize::with_payload_size(box_type, payload.len() as u64), payload }
}

fn read_track(payload: &[u8]) -> Result<TrakBox, String> {
    let mut bytes = with_header(*b"trak", payload);
    let entries = find_mut(&mut bytes, &[*b"trak", *b"mdia", *b"minf", *b"stbl", *b"stsd"]);
    let mut rest = entries.and_then(|stsd| stsd.get_mut(8..)).unwrap_or_default();
    while let Some((_, _, size)) = header(rest) {
        rest[4] |= UNKNOWN;
        rest = &mut rest[size..];
    }
    TrakBox::decode(&bytes).map(|(track, _)| track).map_err(|e| e.to_string())
}

/// A box around a payload.
fn with_header(kind: [u8; 4], payload: &[u8]) -> Vec<u8> {
    // In a vector that grows nothing can fail.
    any_box(kind, payload.to_vec()).encode_to_vec().unwrap_or_default()
}

/// The payload of the `moov` box, which is the index of the file.
fn read_moov(path: &Path, file: &mut dyn ReadSeek, file_len: u64) -> Result<Vec<u8>> {
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
        let (header_len, size) = match u32::from_be_bytes([a, b, c, d]) {
            0 => (8, file_len - position),
            1 => (16, u64::from_be_bytes(header[8..].try_into().expect("eight bytes"))),
            size => (8, u64::from(size)),
        };
        if size < header_len {
            return Err(damaged(path, &format!("the box at byte {position} has an impossible size")));
        }
        let end = position.checked_add(size).filter(|&end| end <= file_len);
        if &kind == b"moov" {
            let end = end.ok_or_else(|| damaged(path, "its index ends beyond the end of the file; it is cut short"))?;
            let mut moov = vec![0; (end - position - header_len) as usize];
            file.seek(SeekFrom::Start(position + header_len)).map_err(io)?;
            file.read_exact(&mut moov).map_err(io)?;
            return Ok(moov);
        }
        match end {
            Some(end) => position = end,
            None => break,
        }
    }
    Err(damaged(path, "it has no index (`moov` box); it is cut short, or was still being recorded"))
}

pub(super) fn damaged(path: &Path, message: &str) -> Error {
    Error::Input(format!("{}: not a whole MP4 or MOV file: {message}", path.display()))
}
