//! What is done to the text between added tokens before it is split into words.

use unicode_normalization::UnicodeNormalization;

use super::charsmap::Charsmap;

/// One step.
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
