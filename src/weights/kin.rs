//! What LoRAs for a model may be made for beside it.

use super::names::Table;

/// The relatives of a model: others that programs take the same LoRAs for.
#[derive(Debug)]
pub struct Kin {
    /// What tensors are called in other layouts. LoRAs may call them so too.
    pub tables: &'static [&'static Table],
    /// The names of all tensors that one of them has, in diffusers' layout, of layers any.
    pub names: fn() -> Vec<String>,
    /// Widths of published ones.
    pub widths: &'static [(usize, &'static str)],
}

impl Kin {
    /// Which published models are so wide.
    pub(super) fn of_width(&self, width: usize) -> Option<&'static str> {
        self.widths.iter().find(|(known, _)| *known == width).map(|&(_, models)| models)
    }
}
