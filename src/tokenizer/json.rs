//! `tokenizer.json`, the Hugging Face `tokenizers` library's own format, as far as T5 and UMT5 tokenizers go.

use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{
    added::Added, added::Token, charsmap::Charsmap, encoder::Tokenizer, normalizer::Normalizer, normalizer::is_bounded, unigram::Unigram,
    words::Prepend, words::Splitter,
};
use crate::{Error, Result};

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    model: Model,
}

#[derive(Deserialize)]
#[serde(default)]
struct Flags {
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
}

impl Default for Flags {
    fn default() -> Self {
        Self { single_word: false, lstrip: false, rstrip: false, normalized: true }
    }
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
    #[serde(flatten)]
    flags: Flags,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    unk_id: Option<u32>,
    vocab: Vocabulary,
}

/// Pieces with their scores, or `None` where the model is of a kind that has no scores.
struct Vocabulary(Option<Vec<(String, f64)>>);

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Vocabulary;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a vocabulary")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut pieces: S) -> Result<Vocabulary, S::Error> {
                let mut scored = Vec::new();
                while let Some(piece) = pieces.next_element()? {
                    scored.push(piece);
                }
                Ok(Vocabulary(Some(scored)))
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Vocabulary, M::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Vocabulary(None))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Stage {
    Sequence {
        #[serde(alias = "normalizers", alias = "pretokenizers")]
        steps: Vec<Value>,
    },
    Precompiled {
        precompiled_charsmap: String,
    },
    Replace {
        pattern: Pattern,
        content: String,
    },
    Strip {
        strip_left: bool,
        strip_right: bool,
    },
    #[serde(rename = "NFC")]
    Nfc,
    #[serde(rename = "NFKC")]
    Nfkc,
    WhitespaceSplit,
    Metaspace {
        replacement: char,
        prepend_scheme: Option<Scheme>,
        add_prefix_space: Option<bool>,
        split: Option<bool>,
    },
}

#[derive(Deserialize)]
enum Pattern {
    String(String),
    Regex(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Scheme {
    Always,
    First,
    Never,
}

/// Reads the content of `file`.
pub(super) fn read(file: &Path, bytes: &[u8]) -> Result<Tokenizer> {
    let json: File = serde_json::from_slice(bytes).map_err(|error| Error::weights(file, error.to_string()))?;
    let model = unigram(file, json.model)?;
    let mut normalizers = Vec::new();
    for step in steps(file, "normalizer", json.normalizer)? {
        normalizers.push(normalizer(file, step)?);
    }
    if !is_bounded(&normalizers) {
        return Err(unsupported(file, "normalizers that make a text hundreds of times longer"));
    }
    let mut splitters = Vec::new();
    for step in steps(file, "pre-tokenizer", json.pre_tokenizer)? {
        splitters.push(splitter(file, step)?);
    }
    let (before, after) = template(file, &json.post_processor, &model)?;
    let (normalized, plain) = json.added_tokens.into_iter().partition::<Vec<_>, _>(|token| token.flags.normalized);
    let tokens = |list: Vec<AddedToken>| list.into_iter().map(Token::from).collect();
    let added = Added::new(tokens(plain), tokens(normalized), &normalizers);
    Ok(Tokenizer { added, normalizers, splitters, model, before, after })
}

impl From<AddedToken> for Token {
    fn from(token: AddedToken) -> Self {
        let Flags { single_word, lstrip, rstrip, .. } = token.flags;
        Self { id: token.id, content: token.content, single_word, lstrip, rstrip }
    }
}

fn unsupported(file: &Path, what: impl std::fmt::Display) -> Error {
    Error::Unsupported(format!("{}: {what}; this crate reads the tokenizers of T5 and UMT5", file.display()))
}

fn unigram(file: &Path, model: Model) -> Result<Unigram> {
    let kind = model.kind.as_deref().unwrap_or("Unigram");
    let (Vocabulary(Some(pieces)), "Unigram", false) = (model.vocab, kind, model.byte_fallback) else {
        let fallback = if model.byte_fallback { " with byte fallback" } else { "" };
        return Err(unsupported(file, format!("a {kind} model{fallback}")));
    };
    let Some(unknown) = model.unk_id.filter(|&id| (id as usize) < pieces.len()) else {
        return Err(Error::weights(file, format!("unk_id {:?} is not among its {} pieces", model.unk_id, pieces.len())));
    };
    Ok(Unigram::new(pieces, unknown))
}

/// The steps of a stanza that is null, one step, or a sequence of steps.
fn steps(file: &Path, stanza: &str, value: Value) -> Result<Vec<Stage>> {
    if value.is_null() {
        return Ok(Vec::new());
    }
    let kind = value["type"].as_str().unwrap_or_default().to_owned();
    match Stage::deserialize(value) {
        Ok(Stage::Sequence { steps: inner }) => inner
            .into_iter()
            .map(|step| steps(file, stanza, step))
            .collect::<Result<Vec<_>>>()
            .map(|lists| lists.into_iter().flatten().collect()),
        Ok(step) => Ok(vec![step]),
        Err(error) => Err(unsupported(file, format!("the {stanza} {kind} ({error})"))),
    }
}

fn normalizer(file: &Path, step: Stage) -> Result<Normalizer> {
    Ok(match step {
        Stage::Precompiled { precompiled_charsmap } => {
            let map = base64(&precompiled_charsmap).and_then(|bytes| Charsmap::parse(&bytes));
            Normalizer::Charsmap(map.ok_or_else(|| Error::weights(file, "the normalizer's precompiled_charsmap is damaged"))?)
        }
        Stage::Replace { pattern: Pattern::String(pattern), content } => Normalizer::Replace { pattern, content },
        Stage::Replace { pattern: Pattern::Regex(pattern), content } if pattern == " {2,}" => Normalizer::ReplaceSpaces { content },
        Stage::Replace { pattern: Pattern::Regex(pattern), .. } => {
            return Err(unsupported(file, format!("a normalizer with the pattern {pattern}")));
        }
        Stage::Strip { strip_left, strip_right } => Normalizer::Strip { left: strip_left, right: strip_right },
        Stage::Nfc => Normalizer::Nfc,
        Stage::Nfkc => Normalizer::Nfkc,
        Stage::Sequence { .. } | Stage::WhitespaceSplit | Stage::Metaspace { .. } => {
            return Err(unsupported(file, "a pre-tokenizer among the normalizers"));
        }
    })
}

fn splitter(file: &Path, step: Stage) -> Result<Splitter> {
    match step {
        Stage::WhitespaceSplit => Ok(Splitter::WhiteSpace),
        Stage::Metaspace { replacement, prepend_scheme, add_prefix_space, split } => {
            let prepend = match prepend_scheme {
                Some(Scheme::First) => Prepend::First,
                Some(Scheme::Never) => Prepend::Never,
                // What older versions wrote.
                None if add_prefix_space == Some(false) => Prepend::Never,
                Some(Scheme::Always) | None => Prepend::Always,
            };
            Ok(Splitter::Metaspace { replacement, prepend, split: split.unwrap_or(true) })
        }
        _ => Err(unsupported(file, "a normalizer among the pre-tokenizers")),
    }
}

/// The special tokens before and after a text. T5's classes add `</s>` where the file has no post-processor.
fn template(file: &Path, value: &Value, model: &Unigram) -> Result<(Vec<u32>, Vec<u32>)> {
    if value.is_null() {
        let end = model.id("</s>").ok_or_else(|| Error::weights(file, "`</s>` is not among its pieces"))?;
        return Ok((Vec::new(), vec![end]));
    }
    let parts = value["single"].as_array().filter(|_| value["type"] == "TemplateProcessing");
    let parts = parts.ok_or_else(|| unsupported(file, format!("the post-processor {}", value["type"])))?;
    let (mut before, mut after, mut seen) = (Vec::new(), Vec::new(), false);
    for part in parts {
        if !part["Sequence"].is_null() {
            seen = true;
            continue;
        }
        let name = part["SpecialToken"]["id"].as_str().unwrap_or_default();
        let ids = Vec::<u32>::deserialize(&value["special_tokens"][name]["ids"]);
        let ids = ids.map_err(|_| Error::weights(file, format!("the post-processor's special token `{name}` has no ids")))?;
        if seen { after.extend(ids) } else { before.extend(ids) }
    }
    Ok((before, after))
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for character in text.trim_end_matches('=').bytes() {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}
