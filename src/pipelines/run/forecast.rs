//! What is known of a generation before it begins.

use crate::pipelines::run::pace::Weights;

/// From a plan; nothing is known where there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Forecast {
    /// Bytes of GPU memory at its peak.
    pub peak: Option<u64>,
    pub weights: Weights,
}
