//! A vocabulary as files of weights carry it.

/// A text encoder's vocabulary, as GGUF files have it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vocabulary {
    /// The kind of tokenizer: `t5` for UMT5's.
    pub model: String,
    /// The pieces; a place is an id.
    pub tokens: Vec<String>,
    /// Their logarithmic probabilities.
    pub scores: Vec<f32>,
    /// Their kinds: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 a byte.
    pub kinds: Vec<i32>,
    /// What sentencepiece's normaliser maps, as it stores it; empty for none.
    pub charsmap: Vec<u8>,
}
