//! RMS norm along the last axis, with an activation after it where one follows.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::kernel::{READ, VECTOR, WRITE, params};
use crate::gpu::{Arg, Cost, Kernel, Recorder, Slot, Tensor};
use crate::ops::{activation::ACTIVATIONS, activation::Activation, operand::operand_dtype};
use crate::shape::Dims;

pub static RMS_NORM: Kernel = Kernel {
    slots: &[Slot::read("x", READ), Slot::read("weight", VECTOR), Slot::write("out", WRITE)],
    variants: &[&[("ACT", ACTIVATIONS), ("WG", &[8, 16, 32, 64])]],
    ..Kernel::of("rms_norm", include_str!("../../wgsl/rms_norm.wgsl"), size_of::<Params>())
};

params!(Params { rows: u32, cols: u32, eps: f32 });

/// x [L, C], weight `[C]` to [L, C] as `dtype`. `eps` is added to the mean square.
pub fn rms_norm(rec: &mut Recorder, x: &Tensor, weight: &Tensor, eps: f32, activation: Activation, dtype: DType) -> Result<Tensor> {
    let dims = Dims::new().check("x", x, &["L", "C"])?.check("weight", weight, &["C"])?;
    let out = rec.alloc(x.shape(), operand_dtype(dtype, x.cols()))?;
    let params = Params { rows: dims.get("L") as u32, cols: dims.get("C") as u32, eps };
    let constants = [("ACT", activation as u32), ("WG", lanes_of(x.cols()))];
    let args = [Arg::rows(x), Arg::rows(weight), Arg::rows(&out)];
    rec.dispatch(&RMS_NORM, &constants, &params, &args, dims.get("L"), Cost::of(4.0 * x.len() as f64, &args))?;
    Ok(out)
}

/// Few lanes for short rows: a row of one head needs no 64.
pub(super) fn lanes_of(cols: usize) -> u32 {
    (cols as u32).div_ceil(16).next_power_of_two().clamp(8, 64)
}
