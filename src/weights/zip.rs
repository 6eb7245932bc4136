//! The directory of a zip archive whose members lie in it uncompressed, as torch writes them, of any size (ZIP64).

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use crate::error::{Error, Result};

const END: [u8; 4] = *b"PK\x05\x06";
const END_64: [u8; 4] = *b"PK\x06\x06";
const END_64_LOCATOR: [u8; 4] = *b"PK\x06\x07";
const DIRECTORY: [u8; 4] = *b"PK\x01\x02";
const LOCAL: [u8; 4] = *b"PK\x03\x04";

/// The end record with the longest comment.
const MAX_END: usize = 22 + 0xffff;

/// The extra field that holds what does not fit 32 bits.
const EXTRA_64: u16 = 1;

/// Where each member's bytes are.
pub(super) struct Archive<'a> {
    path: &'a Path,
    members: BTreeMap<&'a str, Member>,
}

struct Member {
    range: Range<usize>,
    is_stored: bool,
}

impl<'a> Archive<'a> {
    /// Reads the directory of the archive whose whole content is `bytes`.
    pub(super) fn read(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let damaged = |what: &str| Error::weights(path, format!("the zip archive is damaged or cut short: {what}; download it again"));
        let (count, offset) = end(bytes).ok_or_else(|| damaged("it has no directory"))?;
        let mut directory =
            usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).ok_or_else(|| damaged("its directory is outside it"))?;
        let mut members = BTreeMap::new();
        for number in 0..count {
            let (name, member) = member(bytes, &mut directory).ok_or_else(|| damaged(&format!("member {number} of its directory")))?;
            members.insert(name, member);
        }
        Ok(Self { path, members })
    }

    /// The names of all members.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.members.keys().copied()
    }

    /// Where the bytes of a member are in the file.
    pub(super) fn range(&self, name: &str) -> Result<Range<usize>> {
        let member = self.members.get(name).ok_or_else(|| Error::weights(self.path, format!("the archive has no member {name}")))?;
        if !member.is_stored {
            let message = format!("the member {name} is compressed, which torch does not do: load and save it again with torch");
            return Err(Error::weights(self.path, message));
        }
        Ok(member.range.clone())
    }
}

/// The number of members and where the directory begins.
fn end(bytes: &[u8]) -> Option<(u64, u64)> {
    let tail = bytes.len().saturating_sub(MAX_END);
    let at = tail + bytes[tail..].windows(4).rposition(|window| window == END)?;
    let record = bytes.get(at..at + 22)?;
    let (count, offset) = (u64::from(u16_at(record, 10)?), u64::from(u32_at(record, 16)?));
    let Some(locator) = at.checked_sub(20).and_then(|at| bytes.get(at..)).filter(|locator| locator.starts_with(&END_64_LOCATOR)) else {
        return Some((count, offset));
    };
    let record = bytes.get(usize::try_from(u64_at(locator, 8)?).ok()?..)?;
    record.starts_with(&END_64).then_some(())?;
    Some((u64_at(record, 32)?, u64_at(record, 48)?))
}

/// Takes the next member off the directory.
fn member<'a>(bytes: &[u8], directory: &mut &'a [u8]) -> Option<(&'a str, Member)> {
    let record = *directory;
    record.starts_with(&DIRECTORY).then_some(())?;
    let length = |at| u16_at(record, at).map(usize::from);
    let (name, extra, comment) = (length(28)?, length(30)?, length(32)?);
    let text = record.get(46..46 + name)?;
    let mut wide = wide_fields(record.get(46 + name..46 + name + extra)?);
    let mut field = |at| match u32_at(record, at)? {
        u32::MAX => wide.next(),
        narrow => Some(u64::from(narrow)),
    };
    // In the order in which the extra field lists those that are too wide.
    let (size, _compressed, local) = (field(24)?, field(20)?, field(42)?);
    *directory = record.get(46 + name + extra + comment..)?;

    let local = usize::try_from(local).ok()?;
    let header = bytes.get(local..)?;
    header.starts_with(&LOCAL).then_some(())?;
    let begin = local + 30 + usize::from(u16_at(header, 26)?) + usize::from(u16_at(header, 28)?);
    let end = begin.checked_add(usize::try_from(size).ok()?)?;
    let is_stored = u16_at(record, 10)? == 0;
    if is_stored && end > bytes.len() {
        return None;
    }
    Some((std::str::from_utf8(text).ok()?, Member { range: begin..end, is_stored }))
}

fn wide_fields(mut extra: &[u8]) -> impl Iterator<Item = u64> {
    let mut fields = Vec::new();
    while let (Some(id), Some(size)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let Some(body) = extra.get(4..4 + usize::from(size)) else {
            break;
        };
        if id == EXTRA_64 {
            fields.extend(body.as_chunks::<8>().0.iter().map(|&field| u64::from_le_bytes(field)));
        }
        extra = &extra[4 + usize::from(size)..];
    }
    fields.into_iter()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|&chunk| u16::from_le_bytes(chunk))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|&chunk| u32::from_le_bytes(chunk))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|&chunk| u64::from_le_bytes(chunk))
}
