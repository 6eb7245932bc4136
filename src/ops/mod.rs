//! Tensor operations, one a file, each beside its kernel in `wgsl/` of the same name.
//!
//! An op checks named axes first, then records one dispatch or a few. Every accumulator is f32. An op whose result feeds a
//! matrix product or attention takes the [`DType`] to store: f32, or f16 (saturating) where the last axis is a
//! multiple of four. All axes and element formats work with any sizes otherwise.

pub mod attention;
pub mod binary;
pub mod channelwise;
pub mod conv;
pub mod copy;
pub mod depthwise;
pub mod dequantize;
pub mod elementwise;
pub mod epilogue;
pub mod finish;
pub mod gather;
pub mod gemm;
pub mod layer_norm;
pub mod lincomb;
pub mod magnitude;
pub mod matmul;
pub mod matrix;
pub mod norm_rope;
mod operand;
pub mod permute;
pub mod pixels;
pub mod pool;
pub mod quantize;
pub mod resample;
pub mod rgba8;
pub mod rms_norm;
pub mod rope;
pub mod rows;
pub mod shortcut;
pub mod strided;
mod tuned;
pub mod unary;
pub mod walk;
pub mod window;

use crate::gpu::Kernel;

pub use crate::gpu::activation::{self, Activation};
pub use operand::operand_dtype;

/// Calls a macro with the name of every op: tests have a file for each, without which they do not compile.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_op {
    ($table:ident) => {
        $table! {
            activation attention binary channelwise conv copy depthwise dequantize elementwise gather layer_norm lincomb matmul norm_rope
            permute pixels pool quantize resample rgba8 rms_norm rope rows shortcut strided unary
        }
    };
}

/// Every kernel of the crate, for translation and layout tests.
pub static KERNELS: &[&Kernel] = &[
    &attention::ATTENTION_COOP,
    &attention::ATTENTION_REG,
    &attention::ATTENTION_SG,
    &attention::ATTENTION_SHORT,
    &attention::ATTENTION_TILED,
    &binary::BINARY,
    &channelwise::CHANNELWISE,
    &channelwise::CHANNELWISE_SG,
    &conv::CONV_COOP,
    &conv::CONV_REG,
    &conv::CONV_SG,
    &conv::CONV_TILED,
    &depthwise::DEPTHWISE,
    &elementwise::ELEMENTWISE,
    &dequantize::DEQUANTIZE,
    &gather::GATHER,
    &layer_norm::LAYER_NORM,
    &lincomb::LINCOMB,
    &norm_rope::NORM_ROPE,
    &gemm::coop::CAST_F16,
    &gemm::coop::MATMUL_COOP,
    &gemm::int8::MATMUL_INT8,
    &gemm::int8::QUANTIZE_GROUPS,
    &gemm::reg::MATMUL_REG,
    &gemm::sg::MATMUL_PACK,
    &gemm::sg::MATMUL_SG,
    &gemm::tiled::MATMUL_TILED,
    &permute::PERMUTE,
    &pixels::PIXELS,
    &pool::POOL,
    &quantize::QUANTIZE,
    &resample::RESAMPLE,
    &rgba8::RGBA8,
    &rms_norm::RMS_NORM,
    &rope::ROPE,
    &rows::ROWS,
    &shortcut::SHORTCUT,
    &strided::STRIDED,
    &unary::UNARY,
];
