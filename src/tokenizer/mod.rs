//! UMT5's tokenizer: a sentencepiece unigram vocabulary, read from `tokenizer.json` or `spiece.model`, with the ids that the Hugging Face
//! `tokenizers` library gives. [`clean`] does to a prompt what the reference pipelines do before they tokenize it.
//!
//! A text goes through four stations: added tokens such as `</s>` are cut out, what lies between them is normalized, split into words, and
//! each word is cut into the vocabulary's pieces.

mod added;
mod charsmap;
mod clean;
mod embedded;
mod encoder;
mod html;
mod json;
mod mojibake;
mod normalizer;
mod sentencepiece;
mod unigram;
mod words;

use std::path::Path;

pub use clean::clean;
pub use encoder::Tokenizer;

use crate::json::read;
use crate::location::Location;
use crate::{Error, Result};

impl Tokenizer {
    /// Opens `tokenizer.json` or `spiece.model`: the file itself, or the folder it is in. The first is preferred where there are both.
    ///
    /// # Errors
    /// [`Error::Weights`] where the file is damaged or there is none, [`Error::Unsupported`] where it asks for something that T5 and UMT5
    /// tokenizers do not have, [`Error::Io`] where it cannot be read.
    pub fn open(location: impl Into<Location>) -> Result<Self> {
        let mut file = location.into();
        if file.is_folder()? {
            let found = ["tokenizer.json", "spiece.model"].iter().map(|name| file.join(name)).find(Location::exists);
            file = found.ok_or_else(|| Error::weights(file.path(), "neither tokenizer.json nor spiece.model is in this folder"))?;
        }
        Self::from_bytes(file.path(), &read(&file)?)
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
}
