//! Nodes that stand for many: what exporters spell out is brought back together.

mod attention;
mod editor;
mod gelu;
mod layer_norm;
mod linear;
mod pads;
mod scale;
mod silu;

use super::graph::Graph;
use editor::Editor;

impl Graph {
    /// Brings together what one operation can compute: scales and shifts after convolutions go into their weights, zeros around images into the
    /// convolutions' own padding, and what spells out SiLU, GELU, LayerNorm, linear layers and attention becomes one node each.
    ///
    /// The results are the same up to rounding.
    pub fn fuse(&mut self) {
        for rewrite in [pads::pads, scale::scale, silu::silu, gelu::gelu, layer_norm::layer_norm, linear::linear, attention::attention] {
            Editor::rewrite(self, rewrite);
        }
    }
}
