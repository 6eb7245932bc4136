//! What models are made of: weights on their way to the GPU, and the layers that more than one model has.
//!
//! A layer's `load` takes a [`Loader`] scoped to its place in the checkpoint, and its fields carry the checkpoint's names.

pub mod attention;
pub mod causal_conv3d;
pub mod embedding;
pub mod linear;
pub mod loader;
pub mod mlp;
pub mod norm;
pub mod schema;
pub mod shelf;
pub mod stack;

pub use attention::SelfAttention;
pub use causal_conv3d::{CausalConv3d, History};
pub use embedding::Embedding;
pub use linear::Linear;
pub use loader::{Loader, Precision};
pub use mlp::Mlp;
pub use norm::{LayerNorm, RmsNorm};
pub use schema::Schema;
