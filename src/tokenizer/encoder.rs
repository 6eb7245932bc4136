//! A text's way through the stations.

use super::{added, normalizer, unigram, words};

/// Text to token ids.
#[derive(Debug)]
pub struct Tokenizer {
    pub(super) added: added::Added,
    pub(super) normalizers: Vec<normalizer::Normalizer>,
    pub(super) splitters: Vec<words::Splitter>,
    pub(super) model: unigram::Unigram,
    /// Special tokens put before and after every text.
    pub(super) before: Vec<u32>,
    pub(super) after: Vec<u32>,
}

impl Tokenizer {
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
