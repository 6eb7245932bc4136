//! sentencepiece's precompiled character map: a double-array trie from short texts to their replacements.

use unicode_normalization::char::is_combining_mark;

/// Clusters of this many bytes or more are looked up character by character.
const LONG_CLUSTER: usize = 6;

#[derive(Debug)]
pub(super) struct Charsmap {
    trie: Vec<u32>,
    /// All replacements, each ended by a zero byte; a leaf of the trie holds the place of its own.
    replacements: String,
}

impl Charsmap {
    /// Reads the map: the trie's size in bytes, the trie, the replacements. `None` where it is damaged.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (size, rest) = bytes.split_first_chunk::<4>()?;
        let (trie, replacements) = rest.split_at_checked(u32::from_le_bytes(*size) as usize)?;
        let (units, rest) = trie.as_chunks::<4>();
        if units.is_empty() || !rest.is_empty() {
            return None;
        }
        let trie = units.iter().map(|&unit| u32::from_le_bytes(unit)).collect();
        Some(Self { trie, replacements: String::from_utf8(replacements.into()).ok()? })
    }

    /// The length of the longest replacement, in bytes.
    pub(super) fn longest(&self) -> usize {
        self.replacements.split('\0').map(str::len).max().unwrap_or(0)
    }

    /// Replaces what the map knows: short grapheme clusters as a whole, otherwise single characters.
    pub(super) fn apply(&self, text: &str) -> String {
        let mut result = String::with_capacity(text.len());
        for cluster in clusters(text) {
            match self.replacement(cluster).filter(|_| cluster.len() < LONG_CLUSTER) {
                Some(replacement) => result.push_str(replacement),
                None => self.apply_to_characters(cluster, &mut result),
            }
        }
        result
    }

    fn apply_to_characters(&self, cluster: &str, result: &mut String) {
        for character in cluster.chars() {
            match self.replacement(character.encode_utf8(&mut [0; 4])) {
                Some(replacement) => result.push_str(replacement),
                None => result.push(character),
            }
        }
    }

    /// The replacement of the shortest entry that `text` begins with, which is the one `tokenizers` takes.
    fn replacement(&self, text: &str) -> Option<&str> {
        let mut place = offset(*self.trie.first()?);
        for &byte in text.as_bytes() {
            place ^= usize::from(byte);
            let unit = *self.trie.get(place)?;
            if byte == 0 || unit & (1 << 31 | 0xff) != u32::from(byte) {
                return None;
            }
            place ^= offset(unit);
            if unit >> 8 & 1 == 1 {
                let leaf = *self.trie.get(place)? & !(1 << 31);
                return self.replacements.get(leaf as usize..)?.split('\0').next();
            }
        }
        None
    }
}

/// Where a unit's children begin, to be combined with their byte by exclusive or.
fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & 1 << 9) >> 6)) as usize
}

/// Grapheme clusters, as far as their short ones go: a character with its combining marks and joiners, and a line break of two characters.
fn clusters(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let mut length = first.len_utf8();
        if rest.starts_with("\r\n") {
            length = 2;
        } else if !first.is_control() {
            let joins = |character: &char| is_combining_mark(*character) || matches!(character, '\u{200c}' | '\u{200d}');
            length += rest[length..].chars().take_while(joins).map(char::len_utf8).sum::<usize>();
        }
        let (cluster, after) = rest.split_at(length);
        rest = after;
        Some(cluster)
    })
}
