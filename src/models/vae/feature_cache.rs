//! What the layers of an encoder or a decoder remember of one video.

use crate::layers::History;

/// The memory of one layer.
#[derive(Debug, Default)]
pub struct LayerCache {
    /// Of its convolutions over time, in order; at most two frames each.
    pub histories: [History; 2],
    /// Whether it has seen a frame, where the first one is special.
    pub started: bool,
}

/// The causal state of one video, layer by layer. Its size does not depend on the number of frames.
#[derive(Debug)]
pub struct FeatureCache {
    pub(super) layers: Vec<LayerCache>,
}

impl FeatureCache {
    /// The state before the first frame.
    pub fn new(layers: usize) -> Self {
        Self { layers: std::iter::repeat_with(LayerCache::default).take(layers).collect() }
    }
}
