//! Wan2.2 video generation, above all Wan2.2-Animate-14B, on any Vulkan, Metal or DX12 GPU.

mod cancel;
mod dtype;
mod error;
mod gpu;
mod layers;
mod models;
mod ops;
mod pipelines;
mod rng;
mod schedulers;
mod shape;
mod tensor;
mod tokenizer;
pub mod unversioned;
pub mod video;
mod weights;

pub use cancel::Cancel;
pub use dtype::DType;
pub use error::{Error, Result};
pub use gpu::{AdapterSummary, Device, DeviceBuilder, MemoryUse};
