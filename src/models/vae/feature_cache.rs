//! What the layers of an encoder or a decoder remember of one video.

use crate::layers::History;

/// The memory of one layer.
#[derive(Debug, Default)]
pub struct LayerCache {
    /// Of its convolutions over time, in order; at most two frames each.
    pub histories: [History; 2],
    /// Whether it has seen a frame, where the first one is special.
    pub started: bool,
    /// Of the layers that it is made of.
    pub inner: FeatureCache,
}

/// The causal state of one video, layer by layer. Its size does not depend on the number of frames.
///
/// The default is the state before the first frame.
#[derive(Debug, Default)]
pub struct FeatureCache {
    layers: Vec<LayerCache>,
}

impl FeatureCache {
    /// The memories of `count` layers, which is the same number in every call.
    pub fn layers(&mut self, count: usize) -> &mut [LayerCache] {
        self.layers.resize_with(count, LayerCache::default);
        &mut self.layers
    }
}
