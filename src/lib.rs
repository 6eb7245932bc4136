//! Wan2.2 video generation, above all Wan2.2-Animate-14B, on any Vulkan, Metal or DX12 GPU.

pub mod cancel;
pub mod dtype;
pub mod error;
pub mod gpu;
pub mod layers;
pub mod models;
pub mod ops;
pub mod pipelines;
pub mod rng;
pub mod schedulers;
pub mod shape;
pub mod tensor;
pub mod tokenizer;
pub mod video;
pub mod weights;

pub use cancel::Cancel;
pub use dtype::DType;
pub use error::{Error, Result};
