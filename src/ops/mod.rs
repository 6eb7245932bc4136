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
pub mod elementwise;
pub mod expand;
pub mod gather;
pub mod layer_norm;
pub mod lincomb;
pub mod matmul;
pub mod matrix;
pub mod norm_rope;
pub mod permute;
pub mod pool;
pub mod product;
pub mod resample;
pub mod rms_norm;
pub mod rows;
pub mod shortcut;
pub mod strided;
pub mod unary;
pub mod walk;

use std::time::Instant;

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Kernel, Recorder};

/// Every kernel of the crate, for translation and layout tests.
pub static KERNELS: &[&Kernel] = &[
    &attention::ATTENTION_COOP,
    &attention::ATTENTION_REG,
    &attention::ATTENTION_SG,
    &attention::ATTENTION_SHORT,
    &attention::ATTENTION_TILED,
    &binary::BINARY,
    &channelwise::CHANNELWISE,
    &conv::CONV_COOP,
    &conv::CONV_REG,
    &conv::CONV_SG,
    &conv::CONV_TILED,
    &depthwise::DEPTHWISE,
    &elementwise::ELEMENTWISE,
    &expand::EXPAND,
    &gather::GATHER,
    &layer_norm::LAYER_NORM,
    &lincomb::LINCOMB,
    &norm_rope::NORM_ROPE,
    &product::coop::HALVE,
    &product::coop::MATMUL_COOP,
    &product::reg::MATMUL_REG,
    &product::sg::MATMUL_PACK,
    &product::sg::MATMUL_SG,
    &product::tiled::MATMUL_TILED,
    &permute::PERMUTE,
    &pool::POOL,
    &resample::RESAMPLE,
    &rms_norm::RMS_NORM,
    &rows::ROWS,
    &shortcut::SHORTCUT,
    &strided::STRIDED,
    &unary::UNARY,
];

pub(crate) const ACTIVATION: &str = include_str!("../../wgsl/lib/activation.wgsl");
/// All values of the constant `ACT`.
const ACTIVATIONS: &[u32] = &[0, 1, 2, 3, 4, 5, 6, 7];
/// Needed by kernels that turn blocks on their way to workgroup memory.
pub(crate) const TURNED: &str = include_str!("../../wgsl/lib/turned.wgsl");
/// Needed by kernels that feed cooperative matrices with two operands.
pub(crate) const OPERAND_TILES: &str = include_str!("../../wgsl/lib/operand_tiles.wgsl");
pub(crate) const REDUCE: &str = include_str!("../../wgsl/lib/reduce.wgsl");
pub(crate) const REDUCE_MAX: &str = include_str!("../../wgsl/lib/reduce_max.wgsl");
/// Needed by kernels that walk along axes with strides.
pub(crate) const WALK: &str = include_str!("../../wgsl/lib/walk.wgsl");

/// A function applied to each element; the numbers are those of `wgsl/lib/activation.wgsl`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Activation {
    /// x
    #[default]
    None = 0,
    /// x * sigmoid(x)
    Silu = 1,
    /// GELU by the tanh formula
    GeluTanh = 2,
    /// GELU by the error function
    GeluErf = 3,
    /// x * sigmoid(1.702 x)
    QuickGelu = 4,
    /// sqrt(2) * (x if x > 0, else 0.2 x)
    ScaledLeakyRelu = 5,
    /// max(x, 0)
    Relu = 6,
    /// x within -1..=1
    HardTanh = 7,
}

impl Activation {
    /// The function that the configurations of transformers call `name`; none where this crate does not have it.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "linear" => Self::None,
            "silu" | "swish" => Self::Silu,
            "gelu_new" | "gelu_fast" | "gelu_accurate" | "gelu_pytorch_tanh" | "gelu_python_tanh" => Self::GeluTanh,
            "gelu" | "gelu_python" => Self::GeluErf,
            "quick_gelu" => Self::QuickGelu,
            "relu" => Self::Relu,
            _ => return None,
        })
    }
}

/// The element type to store an operand of `cols` columns in: the wanted one where rows of it can be stored.
pub fn operand_dtype(wanted: DType, cols: usize) -> DType {
    if cols.is_multiple_of(4) { wanted } else { DType::F32 }
}

/// The fastest of `count` tiles by timing an op, which `record` records with one of them; none where tiles are not timed. `class` says what
/// op it is and what its speed depends on.
fn fastest_tile(rec: &mut Recorder, class: &str, count: usize, record: impl Fn(&mut Recorder, usize) -> Result<()>) -> Option<usize> {
    const RUNS: u32 = 3;
    let device = rec.device().clone();
    if device.rehearsal().is_some() {
        return None;
    }
    device.tuning().choose(class, count, |tile| {
        record(rec, tile)?;
        rec.finish()?;
        let begun = Instant::now();
        (0..RUNS).try_for_each(|_| record(rec, tile))?;
        rec.finish()?;
        Ok((begun.elapsed() / RUNS).as_secs_f64())
    })
}
