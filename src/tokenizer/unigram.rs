//! The unigram model: of all ways to cut a word into pieces, the one with the greatest sum of scores.

use std::ops::Range;

/// How far an unknown character scores below the worst piece.
const UNKNOWN_PENALTY: f64 = 10.0;

/// A vocabulary; a piece's id is its place in it.
#[derive(Debug)]
pub(super) struct Unigram {
    pieces: Vec<(String, f64)>,
    /// Ids in the byte order of their pieces: all pieces with a common prefix are neighbours.
    order: Vec<u32>,
    unknown: u32,
    unknown_score: f64,
}

/// The best way found so far to reach a place in the word: its score, its last piece and where that begins.
#[derive(Clone, Copy)]
struct Edge {
    score: f64,
    id: u32,
    start: usize,
}

impl Unigram {
    /// `unknown` must be an id of the vocabulary.
    pub(super) fn new(pieces: Vec<(String, f64)>, unknown: u32) -> Self {
        let mut order: Vec<u32> = (0..pieces.len() as u32).collect();
        order.sort_by(|&a, &b| pieces[a as usize].0.cmp(&pieces[b as usize].0));
        let lowest = pieces.iter().map(|&(_, score)| score).fold(f64::INFINITY, f64::min);
        Self { pieces, order, unknown, unknown_score: lowest - UNKNOWN_PENALTY }
    }

    /// The id of a piece; of one that the vocabulary has several times, the last.
    pub(super) fn id(&self, piece: &str) -> Option<u32> {
        let end = self.order.partition_point(|&id| self.text(id) <= piece.as_bytes());
        let id = *self.order.get(end.checked_sub(1)?)?;
        (self.text(id) == piece.as_bytes()).then_some(id)
    }

    /// Appends the ids of a word's pieces. Neighbouring unknown characters share one unknown token.
    pub(super) fn encode(&self, word: &str, ids: &mut Vec<u32>) {
        let steps = self.best_steps(word);
        let mut reversed = Vec::new();
        let mut end = word.len();
        while end > 0 {
            let step = steps[end].expect("every character is reachable, if only as an unknown one");
            let mut start = step.start;
            if step.id == self.unknown {
                while let Some(before) = steps[start].filter(|step| step.id == self.unknown) {
                    start = before.start;
                }
            }
            reversed.push(if step.id == self.unknown { self.id(&word[start..end]).unwrap_or(self.unknown) } else { step.id });
            end = start;
        }
        ids.extend(reversed.iter().rev());
    }

    /// For every byte of the word, the best way to end a piece there.
    fn best_steps(&self, word: &str) -> Vec<Option<Edge>> {
        let mut steps: Vec<Option<Edge>> = vec![None; word.len() + 1];
        for (start, character) in word.char_indices() {
            let before = steps[start].map_or(0.0, |step| step.score);
            let mut reach = |end: usize, id: u32, score: f64| {
                let score = score + before;
                if steps[end].is_none_or(|step| score > step.score) {
                    steps[end] = Some(Edge { score, id, start });
                }
            };
            let mut is_known = false;
            self.for_each_prefix(&word.as_bytes()[start..], |length, id| {
                is_known |= length == character.len_utf8();
                reach(start + length, id, self.pieces[id as usize].1);
            });
            if !is_known {
                reach(start + character.len_utf8(), self.unknown, self.unknown_score);
            }
        }
        steps
    }

    /// Calls `found` with the length and the id of every piece that `text` begins with, shortest first.
    fn for_each_prefix(&self, text: &[u8], mut found: impl FnMut(usize, u32)) {
        let mut range = 0..self.order.len();
        for length in 1..=text.len() {
            range = self.narrow(range, length - 1, text[length - 1]);
            // Of equal pieces, which come first in the range, the last counts.
            let equal = self.order[range.clone()].iter().take_while(|&&id| self.text(id).len() == length);
            match equal.last() {
                Some(&id) => found(length, id),
                None if range.is_empty() => return,
                None => {}
            }
        }
    }

    /// The part of `range`, whose pieces agree before byte `at`, that has `byte` there.
    fn narrow(&self, range: Range<usize>, at: usize, byte: u8) -> Range<usize> {
        let pieces = &self.order[range.clone()];
        let begin = pieces.partition_point(|&id| self.text(id).get(at).is_none_or(|&other| other < byte));
        let length = pieces[begin..].partition_point(|&id| self.text(id)[at] == byte);
        range.start + begin..range.start + begin + length
    }

    fn text(&self, id: u32) -> &[u8] {
        self.pieces[id as usize].0.as_bytes()
    }
}
