//! The tokens of a video in runs of whole latent frames.
//!
//! Apart from self-attention, what is done to a token depends on no other. So the tokens [L, C] of a long video are never one tensor:
//! each run is worked on alone, with the same bits as a result, and the tensors inside a block are as long as a run.
//! Runs end with latent frames because timesteps and faces change there.

use std::ops::Range;

use crate::dtype::DType;
use crate::gpu::{Device, Tensor, arena::largest_buffer};
use crate::models::dit::{config::Config, positions::Angles};

/// Tokens of a run at most, where one latent frame has no more: enough to fill any GPU, and memory that is small beside a block's.
pub const MOST_TOKENS: usize = 8192;

/// Some latent frames of a video.
#[derive(Debug)]
pub struct TokenRun {
    pub frames: Range<usize>,
    /// Their tokens [L, C] in f32.
    pub x: Tensor,
    pub angles: Angles,
    /// Which of the timesteps is theirs.
    pub time: usize,
}

/// Latent frames of a run, where each is `tokens` long: as many as `most` tokens hold and a buffer allows, at least one.
pub fn frames_of_a_run(device: &Device, config: &Config, tokens: usize, operand: DType, most: usize) -> usize {
    let row = (config.ffn_dim as u64 * operand.bytes()).max(config.width() as u64 * DType::F32.bytes());
    let allowed = usize::try_from(largest_buffer(device) / row.max(1)).unwrap_or(usize::MAX);
    (most.min(allowed) / tokens.max(1)).max(1)
}

/// The frames in runs of `count`, none across the borders of `parts`, each with the number of its part.
pub fn cut(parts: &[usize], count: usize) -> Vec<(Range<usize>, usize)> {
    let mut runs = Vec::new();
    let mut first = 0;
    for (number, &part) in parts.iter().enumerate() {
        let end = first + part;
        runs.extend((first..end).step_by(count).map(|from| (from..end.min(from + count), number)));
        first = end;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_end_with_parts() {
        assert_eq!(cut(&[1, 5], 2), [(0..1, 0), (1..3, 1), (3..5, 1), (5..6, 1)]);
        assert_eq!(cut(&[3], 8), [(0..3, 0)]);
        assert_eq!(cut(&[1, 0], 8), [(0..1, 0)]);
    }
}
