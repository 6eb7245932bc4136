//! A tokenizer that came with the text encoder's weights.

use super::sentencepiece::{self, CONTROL, Model, UNKNOWN, USER_DEFINED};
use super::{added::Token, encoder::Tokenizer};
use crate::error::{Error, Result};
use crate::vocabulary::Vocabulary;
use std::path::Path;

impl Tokenizer {
    /// The tokenizer of a vocabulary in `file`, which errors name.
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes).
    pub fn from_vocabulary(file: &Path, vocabulary: Vocabulary) -> Result<Self> {
        let Vocabulary { model, tokens, scores, kinds, charsmap } = vocabulary;
        if model != "t5" {
            return Err(Error::Unsupported(format!("{}: a tokenizer of the kind `{model}`; UMT5's is `t5`", file.display())));
        }
        if scores.len() != tokens.len() || kinds.len() != tokens.len() {
            let message = format!("{} tokens with {} scores and {} types", tokens.len(), scores.len(), kinds.len());
            return Err(Error::weights(file, message));
        }
        let kind = |i: usize| u64::try_from(kinds[i]).unwrap_or_default();
        let added = (0..tokens.len()).filter(|&i| matches!(kind(i), UNKNOWN | CONTROL | USER_DEFINED));
        let added =
            added.map(|i| Token { id: i as u32, content: tokens[i].clone(), single_word: false, lstrip: false, rstrip: false }).collect();
        let unknown = (0..tokens.len()).find(|&i| kind(i) == UNKNOWN).map(|i| i as u32);
        let pieces = tokens.into_iter().zip(scores.into_iter().map(f64::from)).collect();
        sentencepiece::build(file, Model { pieces, added, unknown, charsmap, ..Model::default() })
    }
}
