//! The networks, each mirroring its checkpoint: `load` and `forward` go field for field in checkpoint order.

pub mod clip;
pub mod dit;
pub mod umt5;
pub mod vae;
