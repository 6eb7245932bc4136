//! A normalized text to the words that the vocabulary's pieces lie within. A word begins with `▁` where a space stood.

use super::added::Segment;

/// A way to split, applied to what the one before it left.
#[derive(Debug)]
pub(super) enum Splitter {
    /// At white space, which goes away.
    WhiteSpace,
    /// Spaces become `replacement`.
    Metaspace {
        /// Usually `▁`.
        replacement: char,
        /// Where one is put in front of a text that does not begin with one.
        prepend: Prepend,
        /// Whether a new word begins at each.
        split: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prepend {
    Always,
    /// Only to the beginning of the whole text.
    First,
    Never,
}

/// The words of a segment.
pub(super) fn split(splitters: &[Splitter], segment: &Segment) -> Vec<String> {
    let mut words = vec![(segment.text.clone(), segment.is_first)];
    for splitter in splitters {
        words = words.iter().flat_map(|(text, is_first)| splitter.apply(text, *is_first)).collect();
    }
    words.into_iter().map(|(word, _)| word).filter(|word| !word.is_empty()).collect()
}

impl Splitter {
    fn apply(&self, text: &str, is_first: bool) -> Vec<(String, bool)> {
        match *self {
            Self::WhiteSpace => {
                let is_start = |word: &str| is_first && text.starts_with(word);
                text.split_whitespace().enumerate().map(|(i, word)| (word.into(), i == 0 && is_start(word))).collect()
            }
            Self::Metaspace { replacement, prepend, split } => {
                let mut text = text.replace(' ', replacement.encode_utf8(&mut [0; 4]));
                let wanted = prepend == Prepend::Always || prepend == Prepend::First && is_first;
                if wanted && !text.is_empty() && !text.starts_with(replacement) {
                    text.insert(0, replacement);
                }
                if split { split_before(&text, replacement, is_first) } else { vec![(text, is_first)] }
            }
        }
    }
}

fn split_before(text: &str, mark: char, is_first: bool) -> Vec<(String, bool)> {
    let marks = text.match_indices(mark).map(|(at, _)| at).filter(|&at| at > 0);
    let ends: Vec<usize> = marks.chain([text.len()]).collect();
    let begins = std::iter::once(0).chain(ends.iter().copied());
    begins.zip(&ends).map(|(begin, &end)| (text[begin..end].to_owned(), is_first && begin == 0)).collect()
}
