//! Nodes that stand for many: what exporters spell out is brought back together.

mod attention;
mod editor;
mod finish;
mod gelu;
mod layer_norm;
mod linear;
mod pads;
mod scale;
mod scale_before;
mod silu;

use super::graph::Graph;
use editor::{Editor, Rewrite};

impl Graph {
    /// Brings together what one operation can compute: scales and shifts before and after convolutions go into their weights, zeros around
    /// images into the convolutions' own padding, what spells out SiLU, GELU, LayerNorm, linear layers and attention becomes one node each,
    /// and what follows convolutions and linear layers element by element becomes part of them.
    ///
    /// The results are the same up to rounding.
    pub fn fuse(&mut self) {
        let spelled_out: [Rewrite; 5] = [silu::silu, gelu::gelu, layer_norm::layer_norm, linear::linear, attention::attention];
        let rewrites: [&[Rewrite]; 3] = [&[pads::pads, scale::scale, scale_before::scale_before], &spelled_out, &[finish::finish]];
        rewrites.into_iter().flatten().for_each(|rewrite| Editor::rewrite(self, *rewrite));
    }
}
