//! What a pass comes to.

use crate::gpu::Tensor;

#[derive(Debug)]
pub struct Prediction {
    /// [C', T, H, W] in f32.
    pub velocity: Tensor,
    /// Whether all layers were computed.
    pub is_computed: bool,
    /// The size of what layers added in parts of that in the pass before, in the mean of tokens, where it was measured.
    pub ratio: Option<f64>,
}
