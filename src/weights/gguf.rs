//! The GGUF format, versions 2 and 3: facts by key, then tensors in blocks of quantised numbers.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use super::{blocks::BlockFormat, encoding::Encoding, entry::Entry, entry::elements};
use crate::content::Content;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::vocabulary::Vocabulary;

/// Tensors begin at multiples of this many bytes where the file says nothing else.
pub(super) const DEFAULT_ALIGNMENT: usize = 32;

/// What is read first of a file that is not in memory, and the most that a header may take there.
const FIRST: usize = 1 << 20;
const MAX_HEADER: usize = 256 << 20;

/// Some files have five extents, one more than ggml itself reads.
const MAX_RANK: u32 = 8;

/// The shape that a tensor had before it was made to fit ggml.
pub(super) const ORIGINAL_SHAPE: &str = "comfy.gguf.orig_shape.";

/// ggml's numbers of the types that are read and are no blocks.
const PLAIN: [(u32, Encoding); 8] = [
    (0, Encoding::Float(DType::F32)),
    (1, Encoding::Float(DType::F16)),
    (24, Encoding::I8),
    (25, Encoding::I16),
    (26, Encoding::I32),
    (27, Encoding::I64),
    (28, Encoding::F64),
    (30, Encoding::Float(DType::Bf16)),
];

/// ggml's numbers of all types that are read.
pub(super) fn types() -> impl Iterator<Item = (u32, Encoding)> {
    PLAIN.into_iter().chain(BlockFormat::ALL.map(|block| (block.ggml_type(), Encoding::Block(block))))
}

/// ggml's other types.
const UNSUPPORTED: [(u32, &str); 12] = [
    (9, "Q8_1"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (40, "NVFP4"),
];

/// Reads the header of a file. Touches nothing else.
pub(super) fn read(path: &Path, content: &Content) -> Result<Vec<Entry>> {
    growing(path, content, |bytes| header(path, bytes, content.len()))
}

/// What is read of the start of a file, as much as that takes: more where less was not enough.
fn growing<T>(path: &Path, content: &Content, read: impl Fn(&[u8]) -> Result<T>) -> Result<T> {
    let mut most = if content.whole().is_some() { usize::MAX } else { FIRST };
    loop {
        match read(&content.head(most).map_err(Error::io(path))?) {
            Err(_) if most < content.len().min(MAX_HEADER) => most *= 4,
            result => return result,
        }
    }
}

fn header(path: &Path, bytes: &[u8], length: usize) -> Result<Vec<Entry>> {
    let mut reader = Reader { bytes, at: 4 };
    let version = reader.u32().ok_or_else(|| cut(path, "its version"))?;
    if !matches!(version, 2 | 3) {
        let why = if version.swap_bytes() <= 3 { "of another byte order".into() } else { format!("version {version}") };
        return Err(Error::Unsupported(format!("{}: GGUF {why}; versions 2 and 3 are read", path.display())));
    }
    let (Some(tensors), Some(facts)) = (reader.u64(), reader.u64()) else {
        return Err(cut(path, "the numbers of facts and tensors"));
    };
    let facts = facts_of(&mut reader, facts).map_err(|fault| fault.error(path))?;
    let mut infos = Vec::new();
    for number in 0..tensors {
        infos.push(reader.info().ok_or_else(|| cut(path, &format!("tensor {number} of {tensors}")))?);
    }
    let alignment = facts.alignment.unwrap_or(DEFAULT_ALIGNMENT);
    let data = reader.at.next_multiple_of(alignment);
    let mut entries = infos.into_iter().map(|info| entry(path, info, data, length, &facts)).collect::<Result<Vec<_>>>()?;
    check_overlap(path, &mut entries)?;
    Ok(entries)
}

/// The vocabulary among the facts of a file, or `None` where it has none.
pub(super) fn vocabulary(path: &Path, content: &Content) -> Result<Option<Vocabulary>> {
    growing(path, content, |bytes| vocabulary_of(path, bytes))
}

fn vocabulary_of(path: &Path, bytes: &[u8]) -> Result<Option<Vocabulary>> {
    let mut reader = Reader { bytes, at: 16 };
    let mut vocabulary = Vocabulary::default();
    let facts = reader.u64().ok_or_else(|| cut(path, "the number of facts"))?;
    for number in 0..facts {
        reader.vocabulary_fact(&mut vocabulary).ok_or_else(|| cut(path, &format!("fact {number} of {facts}")))?;
    }
    Ok((!vocabulary.tokens.is_empty()).then_some(vocabulary))
}

fn cut(path: &Path, place: &str) -> Error {
    Error::weights(path, format!("the GGUF header is damaged or cut short at {place}; download it again"))
}

enum Fault {
    Cut(String),
    Alignment(u64),
}

impl Fault {
    fn error(self, path: &Path) -> Error {
        match self {
            Self::Cut(place) => cut(path, &place),
            Self::Alignment(found) => Error::weights(path, format!("an alignment of {found} bytes is not a power of two up to a mebibyte")),
        }
    }
}

/// What the reader needs of the facts.
#[derive(Default)]
struct Facts {
    alignment: Option<usize>,
    original_shapes: HashMap<String, Vec<usize>>,
}

fn facts_of(reader: &mut Reader, count: u64) -> Result<Facts, Fault> {
    let mut facts = Facts::default();
    for number in 0..count {
        let key = reader.text().ok_or_else(|| Fault::Cut(format!("fact {number} of {count}")))?;
        let value = reader.u32().and_then(|kind| reader.value(kind, 0)).ok_or_else(|| Fault::Cut(format!("the fact `{key}`")))?;
        if key == "general.alignment" {
            let alignment = value.first().copied().unwrap_or_default();
            let usable = alignment.is_power_of_two() && alignment <= 1 << 20;
            facts.alignment = Some(usable.then_some(alignment as usize).ok_or(Fault::Alignment(alignment))?);
        } else if let Some(tensor) = key.strip_prefix(ORIGINAL_SHAPE) {
            facts.original_shapes.insert(tensor.into(), value.iter().map(|&dim| dim as usize).collect());
        }
    }
    Ok(facts)
}

struct Info<'a> {
    name: &'a str,
    /// Extents, the first contiguous.
    shape: Vec<u64>,
    kind: u32,
    offset: u64,
}

fn entry(path: &Path, info: Info, data: usize, length: usize, facts: &Facts) -> Result<Entry> {
    let fail = |message: String| Error::tensor(path, info.name, message);
    let known = types().find(|(kind, _)| *kind == info.kind);
    let encoding = known.map(|(_, encoding)| encoding).ok_or_else(|| fail(unsupported(info.kind)))?;
    let elements = elements(&info.shape);
    let width = encoding.block().map_or(1, |block| block.elements() as u64);
    if info.shape.first().is_some_and(|row| row % width != 0) {
        return Err(fail(format!("rows of {} are no whole blocks of {encoding}, which holds {width}", info.shape[0])));
    }
    let size = elements.and_then(|elements| encoding.bytes(elements));
    let range =
        size.and_then(|size| place(info.offset, size, data)).ok_or_else(|| fail(format!("shape {:?} is beyond any file", info.shape)))?;
    if range.end > length {
        return Err(fail(format!("cut short: it ends at byte {}, the file has {length}; download it again", range.end)));
    }
    let mut shape: Vec<usize> = info.shape.iter().rev().map(|&dim| dim as usize).collect();
    if let Some(original) = facts.original_shapes.get(info.name) {
        if self::elements(&original.iter().map(|&dim| dim as u64).collect::<Vec<_>>()) != elements {
            return Err(fail(format!("its shape {shape:?} does not fit its original shape {original:?}")));
        }
        shape.clone_from(original);
    }
    Ok(Entry { name: info.name.into(), encoding, shape, range, strides: None })
}

fn place(offset: u64, size: u64, data: usize) -> Option<Range<usize>> {
    let begin = usize::try_from(offset).ok()?.checked_add(data)?;
    Some(begin..begin.checked_add(usize::try_from(size).ok()?)?)
}

fn check_overlap(path: &Path, entries: &mut [Entry]) -> Result<()> {
    entries.sort_by_key(|entry| (entry.range.start, entry.range.end));
    let clash = entries.windows(2).find(|pair| pair[1].range.start < pair[0].range.end);
    clash.map_or(Ok(()), |pair| Err(Error::tensor(path, &pair[1].name, format!("its bytes overlap those of `{}`", pair[0].name))))
}

fn unsupported(kind: u32) -> String {
    let name = UNSUPPORTED.iter().find(|(number, _)| *number == kind).map_or("an unknown encoding", |(_, name)| name);
    format!("it is stored as {name} (ggml type {kind}); give a file in Q2_K to Q8_0, IQ4_NL, IQ4_XS or 16 bits")
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let chunk = *self.bytes.get(self.at..)?.first_chunk()?;
        self.at += N;
        Some(chunk)
    }

    fn u32(&mut self) -> Option<u32> {
        self.chunk().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.chunk().map(u64::from_le_bytes)
    }

    fn slice(&mut self, length: u64) -> Option<&'a [u8]> {
        let slice = self.bytes.get(self.at..)?.get(..usize::try_from(length).ok()?)?;
        self.at += slice.len();
        Some(slice)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.u64()?;
        std::str::from_utf8(self.slice(length)?).ok()
    }

    /// Reads a fact, and keeps it if it is part of a vocabulary.
    fn vocabulary_fact(&mut self, vocabulary: &mut Vocabulary) -> Option<()> {
        const ARRAY: u32 = 9;
        let key = self.text()?;
        let kind = self.u32()?;
        let begin = self.at;
        let element = if kind == ARRAY { self.u32()? } else { kind };
        match (key, element) {
            ("tokenizer.ggml.model", 8) => vocabulary.model = self.text()?.into(),
            ("tokenizer.ggml.tokens", 8) => {
                let count = self.u64()?;
                vocabulary.tokens = (0..count).map(|_| self.text().map(String::from)).collect::<Option<_>>()?;
            }
            ("tokenizer.ggml.scores", 6) => vocabulary.scores = self.words()?.map(f32::from_le_bytes).collect(),
            ("tokenizer.ggml.token_type", 4 | 5) => vocabulary.kinds = self.words()?.map(i32::from_le_bytes).collect(),
            ("tokenizer.ggml.precompiled_charsmap", 0 | 1) => {
                let count = self.u64()?;
                vocabulary.charsmap = self.slice(count)?.into();
            }
            _ => {
                self.at = begin;
                self.value(kind, 0)?;
            }
        }
        Some(())
    }

    /// An array of four bytes each.
    fn words(&mut self) -> Option<impl Iterator<Item = [u8; 4]> + use<'a>> {
        let count = self.u64()?;
        let (words, _) = self.slice(count.checked_mul(4)?)?.as_chunks::<4>();
        Some(words.iter().copied())
    }

    fn info(&mut self) -> Option<Info<'a>> {
        let name = self.text()?;
        let rank = self.u32().filter(|&rank| rank <= MAX_RANK)?;
        let shape = (0..rank).map(|_| self.u64()).collect::<Option<_>>()?;
        Some(Info { name, shape, kind: self.u32()?, offset: self.u64()? })
    }

    /// Passes over a value; gives the numbers of one that is a whole number or a short array of them.
    fn value(&mut self, kind: u32, depth: u32) -> Option<Vec<u64>> {
        const TEXT: u32 = 8;
        const ARRAY: u32 = 9;
        let width = |kind| match kind {
            0 | 1 | 7 => Some(1),
            2 | 3 => Some(2),
            4..=6 => Some(4),
            10..=12 => Some(8),
            _ => None,
        };
        match kind {
            TEXT => self.text().map(|_| Vec::new()),
            // Arrays of arrays occur nowhere, arrays within those are an attack.
            ARRAY if depth < 2 => {
                let (kind, count) = (self.u32()?, self.u64()?);
                match width(kind) {
                    Some(width) => {
                        let slice = self.slice(count.checked_mul(width)?)?;
                        let wanted = if count <= u64::from(MAX_RANK) { slice } else { &[] };
                        Some(wanted.chunks_exact(width as usize).map(whole).collect())
                    }
                    None => (0..count).try_for_each(|_| self.value(kind, depth + 1).map(drop)).map(|()| Vec::new()),
                }
            }
            _ => self.slice(width(kind)?).map(|slice| vec![whole(slice)]),
        }
    }
}

fn whole(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}
