//! `spiece.model`, sentencepiece's own format: a protobuf message of which three fields matter.

use std::path::Path;

use super::{
    added::Added, added::Token, charsmap::Charsmap, encoder::Tokenizer, normalizer::Normalizer, normalizer::is_bounded, unigram::Unigram,
    words::Prepend, words::Splitter,
};
use crate::{Error, Result};

pub(super) const UNKNOWN: u64 = 2;
pub(super) const CONTROL: u64 = 3;
pub(super) const USER_DEFINED: u64 = 4;

/// The algorithm's number in the message, which is also what an absent field means.
const UNIGRAM: u64 = 1;

/// What a vocabulary consists of.
pub(super) struct Model {
    /// Texts and scores; a place here is an id.
    pub(super) pieces: Vec<(String, f64)>,
    pub(super) added: Vec<Token>,
    pub(super) unknown: Option<u32>,
    pub(super) charsmap: Vec<u8>,
    pub(super) algorithm: u64,
}

impl Default for Model {
    fn default() -> Self {
        Self { pieces: Vec::new(), added: Vec::new(), unknown: None, charsmap: Vec::new(), algorithm: UNIGRAM }
    }
}

/// Reads the content of `file`. Texts are split as T5's tokenizer class does.
pub(super) fn read(file: &Path, bytes: &[u8]) -> Result<Tokenizer> {
    let damaged = || Error::weights(file, "neither a tokenizer.json nor a whole spiece.model");
    build(file, parse(bytes).filter(|model| !model.pieces.is_empty()).ok_or_else(damaged)?)
}

/// The tokenizer of a vocabulary from `file`.
pub(super) fn build(file: &Path, model: Model) -> Result<Tokenizer> {
    let Model { pieces, added, unknown, charsmap, algorithm } = model;
    if algorithm != UNIGRAM {
        return Err(Error::Unsupported(format!("{}: a sentencepiece model that is no unigram model, as UMT5's is", file.display())));
    }
    let unknown = unknown.ok_or_else(|| Error::weights(file, "there is no piece for unknown characters"))?;
    let model = Unigram::new(pieces, unknown);
    let end = model.id("</s>").ok_or_else(|| Error::weights(file, "`</s>` is not among its pieces"))?;
    let mut normalizers = Vec::new();
    if !charsmap.is_empty() {
        let map = Charsmap::parse(&charsmap).ok_or_else(|| Error::weights(file, "its character map is damaged"))?;
        normalizers.push(Normalizer::Charsmap(map));
        if !is_bounded(&normalizers) {
            return Err(Error::Unsupported(format!("{}: a character map that makes a text hundreds of times longer", file.display())));
        }
    }
    let added = Added::new(added, Vec::new(), &normalizers);
    let splitters = vec![Splitter::WhiteSpace, Splitter::Metaspace { replacement: '▁', prepend: Prepend::Always, split: true }];
    Ok(Tokenizer { added, normalizers, splitters, model, before: Vec::new(), after: vec![end] })
}

fn parse(bytes: &[u8]) -> Option<Model> {
    let mut model = Model::default();
    for field in fields(bytes) {
        match field? {
            (1, Field::Bytes(piece)) => add_piece(&mut model, piece)?,
            (2, Field::Bytes(trainer)) => {
                for field in fields(trainer) {
                    if let (3, Field::Integer(algorithm)) = field? {
                        model.algorithm = algorithm;
                    }
                }
            }
            (3, Field::Bytes(normalizer)) => {
                for field in fields(normalizer) {
                    if let (2, Field::Bytes(charsmap)) = field? {
                        model.charsmap = charsmap.into();
                    }
                }
            }
            _ => {}
        }
    }
    Some(model)
}

fn add_piece(model: &mut Model, bytes: &[u8]) -> Option<()> {
    let (mut text, mut score, mut kind) = (String::new(), 0.0, 1);
    for field in fields(bytes) {
        match field? {
            (1, Field::Bytes(piece)) => text = String::from_utf8(piece.into()).ok()?,
            (2, Field::Word(word)) => score = f64::from(f32::from_bits(word)),
            (3, Field::Integer(number)) => kind = number,
            _ => {}
        }
    }
    let id = u32::try_from(model.pieces.len()).ok()?;
    if kind == UNKNOWN {
        model.unknown = Some(id);
    }
    if matches!(kind, UNKNOWN | CONTROL | USER_DEFINED) {
        model.added.push(Token { id, content: text.clone(), single_word: false, lstrip: false, rstrip: false });
    }
    model.pieces.push((text, score));
    Some(())
}

enum Field<'a> {
    Integer(u64),
    Word(u32),
    Long,
    Bytes(&'a [u8]),
}

/// The fields of a protobuf message with their numbers; `None` in the place where it is damaged, and nothing after it.
fn fields(mut bytes: &[u8]) -> impl Iterator<Item = Option<(u64, Field<'_>)>> {
    let mut is_damaged = false;
    std::iter::from_fn(move || {
        if bytes.is_empty() || is_damaged {
            return None;
        }
        let field = field(&mut bytes);
        is_damaged = field.is_none();
        Some(field)
    })
}

fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    let key = varint(bytes)?;
    let field = match key & 7 {
        0 => Field::Integer(varint(bytes)?),
        1 => take(bytes, 8).map(|_| Field::Long)?,
        2 => {
            let length = varint(bytes)?;
            Field::Bytes(take(bytes, usize::try_from(length).ok()?)?)
        }
        5 => Field::Word(u32::from_le_bytes(take(bytes, 4)?.try_into().ok()?)),
        _ => return None,
    };
    Some((key >> 3, field))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}
