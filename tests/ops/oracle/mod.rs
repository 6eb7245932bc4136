//! The ops again, naively: one file an op, each a few lines over [`Approx`](crate::approx::Approx) numbers.

pub mod activation;
pub mod attention;
pub mod binary;
pub mod channelwise;
pub mod conv;
pub mod copy;
pub mod depthwise;
pub mod elementwise;
pub mod expand;
pub mod gather;
pub mod layer_norm;
pub mod lincomb;
pub mod matmul;
pub mod norm_rope;
pub mod permute;
pub mod pixels;
pub mod pool;
pub mod resample;
pub mod rgba8;
pub mod rms_norm;
pub mod rope;
pub mod rows;
pub mod shortcut;
pub mod strided;
pub mod unary;
