//! The networks, each mirroring its checkpoint: `load` and `forward` go field for field in checkpoint order. What else there is to know of a
//! model stands in the `spec` of its folder; [`registry`] lists them.

pub mod clip;
pub mod coverage;
pub mod dit;
pub mod inspect;
pub mod registry;
pub mod sam2;
pub mod spec;
pub mod taehv;
pub mod umt5;
pub mod vae;

pub use registry::open;
