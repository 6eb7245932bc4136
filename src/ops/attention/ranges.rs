//! Which keys queries see, where that is not all of them.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};

/// Queries that see the same keys: every kernel's tiles of queries lie within such a block.
pub const BLOCK: usize = 128;

/// By block of [`BLOCK`] queries, the keys that it sees.
#[derive(Clone, Debug)]
pub struct KeyRanges {
    /// By block, which word its bounds begin with; then by block the first key of each range and the one after its last, and the end twice.
    pub(super) table: Tensor,
    /// By block, how many keys it sees.
    seen: Vec<usize>,
    /// After the last key that any block sees.
    end: usize,
}

impl KeyRanges {
    /// Of ranges that rise without touching, at least one for each block.
    pub fn upload(rec: &mut Recorder, blocks: &[Vec<Range<usize>>]) -> Result<Self> {
        let rises = |ranges: &Vec<Range<usize>>| {
            let apart = ranges.windows(2).all(|pair| pair[0].end < pair[1].start);
            apart && !ranges.is_empty() && ranges.iter().all(|range| range.start < range.end)
        };
        if let Some(wrong) = blocks.iter().find(|ranges| !rises(ranges)) {
            return Err(Error::Input(format!("attention to keys {wrong:?}, which do not rise")));
        }
        let mut words: Vec<u32> = vec![0; blocks.len()];
        for (block, ranges) in blocks.iter().enumerate() {
            words[block] = words.len() as u32;
            words.extend(ranges.iter().flat_map(|range| [range.start as u32, range.end as u32]));
            words.extend(ranges.last().iter().flat_map(|range| [range.end as u32; 2]));
        }
        let seen = blocks.iter().map(|ranges| ranges.iter().map(Range::len).sum()).collect();
        let end = blocks.iter().flatten().map(|range| range.end).max().unwrap_or(0);
        Ok(Self { table: rec.upload_indices(&words)?, seen, end })
    }

    /// Pairs of a query and a key that it sees, of so many queries.
    pub(super) fn pairs(&self, queries: usize) -> usize {
        self.seen.iter().enumerate().map(|(block, seen)| seen * queries.saturating_sub(block * BLOCK).min(BLOCK)).sum()
    }

    /// Whether it is for so many queries and keys.
    pub(super) fn suits(&self, queries: usize, keys: usize) -> bool {
        self.seen.len() == queries.div_ceil(BLOCK) && self.end <= keys
    }
}
