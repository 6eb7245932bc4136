//! A quantised tensor in its stored form, for computing with it as it is.

use std::borrow::Cow;

use super::{blocks::BlockFormat, encoding::Encoding, low_rank::LowRank};

/// What there is to know of a [`Quantized`] tensor before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuantizedForm {
    /// How its numbers are stored.
    pub encoding: Encoding,
    /// How many numbers it is multiplied with: none, one, or one for each row.
    pub scales: usize,
    /// The rank of what LoRAs add, where they do.
    pub rank: Option<usize>,
}

/// A matrix of a checkpoint, its numbers as they are in the file.
#[derive(Clone, Debug)]
pub struct Quantized<'a> {
    /// How the numbers in `bytes` are stored: eight-bit floats, signed bytes or blocks.
    pub encoding: Encoding,
    /// The numbers, row by row.
    pub bytes: Cow<'a, [u8]>,
    /// What they are to be multiplied with: nothing, one factor, or one for each row.
    pub scales: Vec<f32>,
    /// What LoRAs add after that.
    pub change: Option<LowRank>,
}

impl Quantized<'_> {
    /// What is known of it without its numbers.
    pub fn form(&self) -> QuantizedForm {
        let rank = self.change.as_ref().map(|change| change.rank);
        QuantizedForm { encoding: self.encoding, scales: self.scales.len(), rank }
    }

    /// Whether numbers may stand for NaN or infinity, LoRAs left aside. May say so of numbers near the limits that do not; never the other way
    /// round.
    pub fn may_be_infinite(&self) -> bool {
        let (largest, has_bad) = match self.encoding {
            Encoding::F8E4M3 => (448.0, any(&self.bytes, |code| code & 0x7f == 0x7f)),
            Encoding::F8E5M2 => (57344.0, any(&self.bytes, |code| code & 0x7f >= 0x7c)),
            Encoding::I8 => (128.0, false),
            // More than any scale of a block makes of any of its numbers.
            Encoding::Block(block) => (1e12, has_bad_half(block, &self.bytes)),
            _ => (1.0, true),
        };
        has_bad || self.scales.iter().any(|scale| !(scale * largest).is_finite())
    }
}

/// Without branches within a run, so that it goes at the speed of memory.
fn any(bytes: &[u8], is_bad: impl Fn(u8) -> bool) -> bool {
    bytes.chunks(4096).any(|run| run.iter().fold(false, |bad, &byte| bad | is_bad(byte)))
}

fn has_bad_half(block: BlockFormat, bytes: &[u8]) -> bool {
    let is_bad = |block: &[u8], at: usize| block[at + 1] & 0x7c == 0x7c;
    bytes.chunks_exact(block.bytes()).any(|bytes| block.scales_at().iter().any(|&at| is_bad(bytes, at)))
}
