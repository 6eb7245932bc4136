//! Tokens that are found in the text as they stand, before the vocabulary is asked: `</s>`, `<extra_id_7>`.

use unicode_normalization::char::is_combining_mark;

use super::{normalizer::Normalizer, normalizer::normalize};

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) id: u32,
    pub(super) content: String,
    /// Counts only where no letter or digit touches it.
    pub(super) single_word: bool,
    /// Takes the white space before it, or after it, with it.
    pub(super) lstrip: bool,
    pub(super) rstrip: bool,
}

/// A stretch of text between added tokens.
pub(super) struct Segment {
    pub(super) text: String,
    /// Whether the whole text begins here.
    pub(super) is_first: bool,
}

/// All added tokens of a tokenizer, those looked for in the text as given and those looked for in the normalized text.
#[derive(Debug)]
pub(super) struct Added {
    plain: Vec<Token>,
    normalized: Vec<Token>,
}

impl Added {
    pub(super) fn new(mut plain: Vec<Token>, mut normalized: Vec<Token>, normalizers: &[Normalizer]) -> Self {
        for token in &mut normalized {
            token.content = normalize(normalizers, &token.content);
        }
        for list in [&mut plain, &mut normalized] {
            list.retain(|token| !token.content.is_empty());
            // Where several match, the longest is taken.
            list.sort_by_key(|token| std::cmp::Reverse(token.content.len()));
        }
        Self { plain, normalized }
    }

    /// The added tokens of a text, and the normalized segments around them, in order.
    pub(super) fn split(&self, text: &str, normalizers: &[Normalizer]) -> Vec<(Option<u32>, Segment)> {
        let mut parts = Vec::new();
        for (id, segment) in cut(&self.plain, Segment { text: text.into(), is_first: true }) {
            match id {
                Some(_) => parts.push((id, segment)),
                None => parts.extend(cut(&self.normalized, Segment { text: normalize(normalizers, &segment.text), ..segment })),
            }
        }
        parts
    }
}

fn cut(tokens: &[Token], segment: Segment) -> Vec<(Option<u32>, Segment)> {
    let text = &segment.text;
    let mut parts = Vec::new();
    let mut done = 0;
    let mut push = |id, begin: usize, end: usize| {
        if begin < end {
            parts.push((id, Segment { text: text[begin..end].into(), is_first: segment.is_first && begin == 0 }));
        }
    };
    let mut at = 0;
    while at < text.len() {
        let Some(token) = tokens.iter().find(|token| text[at..].starts_with(&token.content)) else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
            continue;
        };
        let (before, after) = (&text[..at], &text[at + token.content.len()..]);
        let found = at;
        at += token.content.len();
        if token.single_word && (before.ends_with(is_word) || after.starts_with(is_word)) {
            continue;
        }
        let begin = if token.lstrip { before.trim_end().len().max(done) } else { found };
        at += if token.rstrip { after.len() - after.trim_start().len() } else { 0 };
        push(None, done, begin);
        push(Some(token.id), begin, at);
        done = at;
    }
    push(None, done, text.len());
    parts
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || is_combining_mark(character) || matches!(character, '_' | '\u{200c}' | '\u{200d}')
}
