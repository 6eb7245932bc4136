//! Checkpoints: indexed by name when they are opened, read tensor by tensor, with a word on every tensor that is missing or left over.
//! Formats and dialects of files are known here, models are not.

pub mod blocks;
pub mod checkpoint;
pub mod claim;
pub mod config;
pub(crate) mod convert;
mod decode;
mod delta;
mod encode;
pub mod encoding;
mod entry;
mod foreign;
mod gguf;
mod gguf_header;
pub mod kin;
pub(crate) mod locate;
pub mod lora;
pub mod low_rank;
pub mod names;
mod pickle;
mod pth;
pub mod quantized;
mod rotation;
pub mod safetensors;
mod scales;
pub mod storage;
pub mod stored;
mod tensor;
pub mod view;
mod zip;

pub use blocks::BlockFormat;
pub use checkpoint::Weights;
pub use encoding::Encoding;
pub use lora::Lora;
pub use low_rank::LowRank;
pub use quantized::Quantized;
pub use safetensors::{NewTensor, write_safetensors};
pub use storage::Storage;
pub use stored::TensorInfo;
