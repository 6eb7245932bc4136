//! UMT5's tokenizer: a sentencepiece unigram vocabulary, read from `tokenizer.json` or `spiece.model`, with the ids that the Hugging Face
//! `tokenizers` library gives. [`clean`] does to a prompt what the reference pipelines do before they tokenize it.
//!
//! A text goes through four stations: added tokens such as `</s>` are cut out, what lies between them is normalized, split into words, and
//! each word is cut into the vocabulary's pieces.

mod added;
mod charsmap;
mod clean;
mod embedded;
mod html;
mod json;
mod mojibake;
mod normalizer;
mod sentencepiece;
mod unigram;
mod words;

use std::path::Path;

pub use clean::clean;

use crate::json::read;
use crate::{Error, Result};

/// Text to token ids.
#[derive(Debug)]
pub struct Tokenizer {
    added: added::Added,
    normalizers: Vec<normalizer::Normalizer>,
    splitters: Vec<words::Splitter>,
    model: unigram::Unigram,
    /// Special tokens put before and after every text.
    before: Vec<u32>,
    after: Vec<u32>,
}

impl Tokenizer {
    /// Opens `tokenizer.json` or `spiece.model`: the file itself, or the folder it is in. The first is preferred where there are both.
    ///
    /// # Errors
    /// [`Error::Weights`] where the file is damaged or there is none, [`Error::Unsupported`] where it asks for something that T5 and UMT5
    /// tokenizers do not have, [`Error::Io`] where it cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if !std::fs::metadata(path).map_err(Error::io(path))?.is_dir() {
            return Self::from_bytes(path, &read(path)?);
        }
        let file = ["tokenizer.json", "spiece.model"].iter().map(|name| path.join(name)).find(|file| file.exists());
        let file = file.ok_or_else(|| Error::weights(path, "neither tokenizer.json nor spiece.model is in this folder"))?;
        Self::from_bytes(&file, &read(&file)?)
    }

    /// Reads the content of a `tokenizer.json` or a `spiece.model`, which some checkpoints carry as a tensor. `file` is where it comes from,
    /// for errors to name.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(file: &Path, bytes: &[u8]) -> Result<Self> {
        let is_json = bytes.trim_ascii_start().first() == Some(&b'{');
        if is_json { json::read(file, bytes) } else { sentencepiece::read(file, bytes) }
    }

    /// The ids of a text with `</s>` at the end, at most `max_len` of them: a longer text loses its tail, never the `</s>`.
    pub fn encode(&self, text: &str, max_len: usize) -> Vec<u32> {
        let room = max_len.saturating_sub(self.before.len() + self.after.len());
        let mut ids = self.before.clone();
        let mut body = Vec::new();
        for (token, segment) in self.added.split(text, &self.normalizers) {
            if body.len() >= room {
                break;
            }
            match token {
                Some(id) => body.push(id),
                None => self.encode_segment(&segment, room, &mut body),
            }
        }
        body.truncate(room);
        ids.extend(body);
        ids.extend(&self.after);
        ids
    }

    fn encode_segment(&self, segment: &added::Segment, room: usize, ids: &mut Vec<u32>) {
        for word in words::split(&self.splitters, segment) {
            if ids.len() >= room {
                return;
            }
            self.model.encode(&word, ids);
        }
    }
}
