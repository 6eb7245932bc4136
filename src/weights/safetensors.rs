//! The safetensors format: a length, a JSON header, and the tensors' bytes back to back.
//!
//! The header is checked here rather than by the `safetensors` crate, so that an error names the tensor and says what is wrong with it, names
//! given twice are seen, and no claim in a hostile header overflows.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

use super::entry::{Entry, Metadata, elements};
use super::{encoding::Encoding, foreign};
use crate::content::Content;
use crate::error::{Error, Result};
use crate::partial_file::PartialFile;

/// What the format allows at most; real headers stay under a few megabytes.
const MAX_HEADER: u64 = 100_000_000;

/// Reads and checks the header of a safetensors file, and its metadata. Touches nothing but the header.
pub(super) fn read(path: &Path, content: &Content) -> Result<(Vec<Entry>, Metadata)> {
    let fail = |message: String| Error::weights(path, message);
    let head = content.head(foreign::HEAD).map_err(Error::io(path))?;
    let length = head.first_chunk().map(|&length| u64::from_le_bytes(length));
    let length = length.ok_or_else(|| fail(format!("not a safetensors file: it has only {} bytes; download it again", head.len())))?;
    let found = content.len() - 8;
    if length > found as u64 || length > MAX_HEADER {
        let generic = || {
            format!("not a safetensors file, or cut short: it claims a header of {length} bytes, {found} bytes follow; download it again")
        };
        return Err(fail(foreign::what(&head).unwrap_or_else(generic)));
    }
    let start = 8 + length as usize;
    let header = content.bytes(8..start).map_err(Error::io(path))?;
    let Header { tensors, metadata } =
        serde_json::from_slice(&header).map_err(|error| fail(format!("the safetensors header is damaged: {error}; download it again")))?;
    let mut entries = tensors.into_iter().map(|(name, raw)| entry(path, name, raw, start)).collect::<Result<Vec<_>>>()?;
    check_layout(path, &mut entries, start, content.len() - start)?;
    Ok((entries, metadata))
}

fn entry(path: &Path, name: String, raw: RawEntry, start: usize) -> Result<Entry> {
    let fail = |message: String| Error::tensor(path, &name, message);
    let encoding = Encoding::from_safetensors(&raw.dtype)
        .ok_or_else(|| fail(format!("data type {} is not supported; give a file in 8, 16 or 32 bits", raw.dtype)))?;
    let size = elements(&raw.shape).and_then(|elements| encoding.bytes(elements));
    let [begin, end] = raw.data_offsets;
    if end.checked_sub(begin) != size || size.is_none() {
        return Err(fail(format!(
            "shape {:?} of {encoding} does not fit the bytes {begin} to {end} given for it: the header is damaged",
            raw.shape
        )));
    }
    let at = |offset: u64| usize::try_from(offset).ok().and_then(|offset| offset.checked_add(start));
    let (Some(begin), Some(end)) = (at(begin), at(end)) else {
        return Err(fail(format!("the bytes {begin} to {end} are beyond any file")));
    };
    let shape = raw.shape.iter().map(|&dim| dim as usize).collect();
    Ok(Entry { name, encoding, shape, range: begin..end, strides: None })
}

/// The tensors must cover the data without gap or overlap, to its last byte.
fn check_layout(path: &Path, entries: &mut [Entry], start: usize, data: usize) -> Result<()> {
    entries.sort_by_key(|entry| (entry.range.start, entry.range.end));
    let needed = entries.last().map_or(start, |entry| entry.range.end);
    let found = start + data;
    if found < needed {
        return Err(Error::weights(
            path,
            format!("cut short: the header promises {needed} bytes, the file has {found}; download it again"),
        ));
    }
    let mut end = start;
    for entry in entries.iter() {
        if entry.range.start != end {
            let what = if entry.range.start < end { "overlap those of another tensor" } else { "leave a gap before them" };
            return Err(Error::tensor(path, &entry.name, format!("its bytes {what}: the header is damaged")));
        }
        end = entry.range.end;
    }
    if found > end {
        return Err(Error::weights(path, format!("{} bytes follow the last tensor: the file is damaged; download it again", found - end)));
    }
    Ok(())
}

#[derive(Deserialize)]
struct RawEntry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

#[derive(Default)]
struct Header {
    tensors: Vec<(String, RawEntry)>,
    metadata: Metadata,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Header, M::Error> {
        let mut header = Header::default();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                header.metadata = map.next_value()?;
            } else {
                header.tensors.push((name, map.next_value()?));
            }
        }
        Ok(header)
    }
}

/// A tensor to be written by [`write_safetensors`].
#[derive(Clone, Debug)]
pub struct NewTensor<'a> {
    /// Its name, unique in the file.
    pub name: &'a str,
    /// How its numbers are stored.
    pub encoding: Encoding,
    /// Its extents, the last contiguous.
    pub shape: &'a [usize],
    /// Its elements, little-endian.
    pub bytes: &'a [u8],
}

impl NewTensor<'_> {
    fn outline(&self) -> Result<Outline> {
        let outline = Outline { name: self.name.into(), encoding: self.encoding, shape: self.shape.into() };
        if outline.bytes()? != self.bytes.len() as u64 {
            let (name, bytes) = (self.name, self.bytes.len());
            return Err(Error::Input(format!("tensor `{name}` of shape {:?} {} cannot have {bytes} bytes", self.shape, self.encoding)));
        }
        Ok(outline)
    }
}

/// Writes a safetensors file in the order given. It appears under `path` only once it is whole: until then it has a temporary name beside it.
///
/// # Errors
/// [`Error::Input`] where a tensor's bytes do not fit its shape or a name occurs twice; [`Error::Unsupported`] where the format lacks a tensor's
/// encoding; [`Error::Io`] where the system refuses.
pub fn write_safetensors(path: &Path, tensors: &[NewTensor]) -> Result<()> {
    let outlines: Vec<Outline> = tensors.iter().map(NewTensor::outline).collect::<Result<_>>()?;
    let header = header(&outlines)?;
    let (partial, file) = PartialFile::create(path)?;
    let write = || -> io::Result<()> {
        let mut file = BufWriter::new(&file);
        file.write_all(&header)?;
        tensors.iter().try_for_each(|tensor| file.write_all(tensor.bytes))?;
        file.flush()
    };
    write().map_err(Error::io(path))?;
    partial.publish_durably(&file)
}

/// A tensor in a file that is to be written.
pub(super) struct Outline {
    /// Its name, unique in the file.
    pub(super) name: String,
    /// How its numbers are stored.
    pub(super) encoding: Encoding,
    /// Its extents, the last contiguous.
    pub(super) shape: Vec<usize>,
}

impl Outline {
    /// Bytes that its numbers take.
    ///
    /// # Errors
    /// [`Error::Input`] where they are no whole blocks.
    pub(super) fn bytes(&self) -> Result<u64> {
        let bytes = self.encoding.bytes(self.shape.iter().map(|&dim| dim as u64).product());
        bytes.ok_or_else(|| Error::Input(format!("tensor `{}` of shape {:?} has no size in {}", self.name, self.shape, self.encoding)))
    }
}

/// All that comes before the first tensor's bytes; these follow in the order given, without gaps.
///
/// # Errors
/// As [`write_safetensors`].
pub(super) fn header(tensors: &[Outline]) -> Result<Vec<u8>> {
    // transformers wants to be told whose tensors they are.
    let mut header = serde_json::Map::from_iter([("__metadata__".into(), serde_json::json!({"format": "pt"}))]);
    let mut offset = 0;
    for tensor in tensors {
        let dtype = tensor.encoding.safetensors_name();
        let dtype = dtype.ok_or_else(|| Error::Unsupported(format!("tensor `{}`: safetensors has no {}", tensor.name, tensor.encoding)))?;
        let end = offset + tensor.bytes()?;
        let entry = serde_json::json!({
            "dtype": dtype, "shape": tensor.shape, "data_offsets": [offset, end]
        });
        if header.insert(tensor.name.clone(), entry).is_some() {
            return Err(Error::Input(format!("two tensors are called `{}`", tensor.name)));
        }
        offset = end;
    }
    let mut text = serde_json::Value::Object(header).to_string();
    // The data begins at a multiple of eight bytes, as readers that cast expect.
    text.push_str(&" ".repeat(text.len().next_multiple_of(8) - text.len()));
    Ok([&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat())
}
