//! The directory of a zip archive whose members lie in it uncompressed, as torch writes them, of any size (ZIP64).

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;

use crate::content::Content;
use crate::error::{Error, Result};

const END: [u8; 4] = *b"PK\x05\x06";
const END_64: [u8; 4] = *b"PK\x06\x06";
const END_64_LOCATOR: [u8; 4] = *b"PK\x06\x07";
const DIRECTORY: [u8; 4] = *b"PK\x01\x02";
const LOCAL: [u8; 4] = *b"PK\x03\x04";

/// The end record with the longest comment, and what ZIP64 puts before it.
const MAX_END: usize = 22 + 0xffff + 20 + 56;

/// More than the directory of any model takes.
const MAX_DIRECTORY: usize = 64 << 20;

/// The extra field that holds what does not fit 32 bits.
const EXTRA_64: u16 = 1;

/// Where each member's bytes are.
pub(super) struct Archive<'a> {
    path: &'a Path,
    members: BTreeMap<String, Member>,
}

struct Member {
    range: Range<usize>,
    is_stored: bool,
}

impl<'a> Archive<'a> {
    /// Reads the directory of an archive.
    pub(super) fn read(path: &'a Path, content: &Content) -> Result<Self> {
        let damaged = |what: &str| Error::weights(path, format!("the zip archive is damaged or cut short: {what}; download it again"));
        let (count, offset) = end(content).map_err(Error::io(path))?.ok_or_else(|| damaged("it has no directory"))?;
        let begin =
            usize::try_from(offset).ok().filter(|&begin| begin <= content.len()).ok_or_else(|| damaged("its directory is outside it"))?;
        let directory = content.bytes(begin..content.len().min(begin.saturating_add(MAX_DIRECTORY))).map_err(Error::io(path))?;
        let (mut directory, mut members) = (&*directory, BTreeMap::new());
        for number in 0..count {
            let (name, member) = member(content, &mut directory).ok_or_else(|| damaged(&format!("member {number} of its directory")))?;
            members.insert(name.into(), member);
        }
        Ok(Self { path, members })
    }

    /// The names of all members.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
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
fn end(content: &Content) -> io::Result<Option<(u64, u64)>> {
    let tail = content.bytes(content.len().saturating_sub(MAX_END)..content.len())?;
    let Some(at) = tail.windows(4).rposition(|window| window == END) else { return Ok(None) };
    let narrow = || tail.get(at..at + 22).and_then(|record| Some((u64::from(u16_at(record, 10)?), u64::from(u32_at(record, 16)?))));
    let Some(locator) = at.checked_sub(20).map(|at| &tail[at..]).filter(|locator| locator.starts_with(&END_64_LOCATOR)) else {
        return Ok(narrow());
    };
    let wide = u64_at(locator, 8).and_then(|at| usize::try_from(at).ok());
    let Some(wide) = wide.filter(|at| at.checked_add(56).is_some_and(|end| end <= content.len())) else { return Ok(None) };
    let record = content.bytes(wide..wide + 56)?;
    Ok(record.starts_with(&END_64).then(|| Some((u64_at(&record, 32)?, u64_at(&record, 48)?))).flatten())
}

/// Takes the next member off the directory.
fn member<'a>(content: &Content, directory: &mut &'a [u8]) -> Option<(&'a str, Member)> {
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
    let header = content.bytes(local..local.checked_add(30)?).ok()?;
    header.starts_with(&LOCAL).then_some(())?;
    let begin = local + 30 + usize::from(u16_at(&header, 26)?) + usize::from(u16_at(&header, 28)?);
    let end = begin.checked_add(usize::try_from(size).ok()?)?;
    let is_stored = u16_at(record, 10)? == 0;
    if is_stored && end > content.len() {
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
