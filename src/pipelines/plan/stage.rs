//! What one stage takes.

use crate::pipelines::run::event::Stage;

/// What one stage takes, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StagePlan {
    /// Which: of several segments' the one that takes most.
    pub stage: Stage,
    /// Weights that are on the GPU at most at a time.
    pub weights: u64,
    /// What earlier stages left for this one: embeddings, conditioning, latents.
    pub caches: u64,
    /// Everything else.
    pub activations: u64,
    /// All of it at its peak.
    pub peak: u64,
    /// Blocks of the transformer that stay on the GPU meanwhile.
    pub resident: usize,
}

pub(super) fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}
