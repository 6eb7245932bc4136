//! What is done to the text between added tokens before it is split into words.

use unicode_normalization::UnicodeNormalization;

use super::charsmap::Charsmap;

/// How many times longer all steps together may make a text: some five times what those of T5 and UMT5 can.
const MAX_GROWTH: f64 = 256.0;

#[derive(Debug)]
pub(super) enum Normalizer {
    /// sentencepiece's table of replacements.
    Charsmap(Charsmap),
    /// Every occurrence of a text.
    Replace {
        pattern: String,
        content: String,
    },
    /// Every run of two or more spaces.
    ReplaceSpaces {
        content: String,
    },
    /// White space at the ends.
    Strip {
        left: bool,
        right: bool,
    },
    Nfc,
    Nfkc,
}

impl Normalizer {
    fn apply(&self, text: &str) -> String {
        match self {
            Self::Charsmap(map) => map.apply(text),
            Self::Replace { pattern, .. } if pattern.is_empty() => text.into(),
            Self::Replace { pattern, content } => text.replace(pattern, content),
            Self::ReplaceSpaces { content } => replace_spaces(text, content),
            Self::Strip { left, right } => {
                let text = if *left { text.trim_start() } else { text };
                if *right { text.trim_end().into() } else { text.into() }
            }
            Self::Nfc => text.nfc().collect(),
            Self::Nfkc => text.nfkc().collect(),
        }
    }

    /// How many times longer it makes a text at most, in bytes.
    fn growth(&self) -> f64 {
        let growth = match self {
            Self::Charsmap(map) => map.longest() as f64,
            Self::Replace { pattern, content } => content.len() as f64 / pattern.len().max(1) as f64,
            Self::ReplaceSpaces { content } => content.len() as f64 / 2.0,
            Self::Strip { .. } => 1.0,
            // By the Unicode standard; both leave what they made as it is.
            Self::Nfc => 3.0,
            Self::Nfkc => 11.0,
        };
        growth.max(1.0)
    }
}

/// Whether all steps in turn keep a text to a sensible length. A few replacements of one character by thousands would fill any memory.
pub(super) fn is_bounded(steps: &[Normalizer]) -> bool {
    steps.iter().map(Normalizer::growth).product::<f64>() <= MAX_GROWTH
}

/// All steps in turn.
pub(super) fn normalize(steps: &[Normalizer], text: &str) -> String {
    steps.iter().fold(text.into(), |text: String, step| step.apply(&text))
}

fn replace_spaces(text: &str, content: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("  ") {
        result.push_str(&rest[..at]);
        result.push_str(content);
        rest = rest[at..].trim_start_matches(' ');
    }
    result + rest
}
