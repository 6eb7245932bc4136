//! RMS norm along the last axis, with an activation after it where one follows.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::kernel::{READ, VECTOR, WRITE, params};
use crate::gpu::{Arg, Cost, Kernel, Recorder, Slot, Tensor};
use crate::ops::{activation::ACTIVATIONS, activation::Activation, operand::operand_dtype};
use crate::shape::Dims;

pub static RMS_NORM: Kernel = Kernel {
    slots: &[Slot::read("x", READ), Slot::read("weight", VECTOR), Slot::write("out", WRITE)],
    variants: &[&[("ACT", ACTIVATIONS), ("LANES", LANES)]],
    ..Kernel::of("rms_norm", include_str!("../../wgsl/rms_norm.wgsl"), size_of::<Params>())
};

params!(Params { rows: u32, cols: u32, eps: f32 });

/// x [L, C], weight `[C]` to [L, C] as `dtype`. `eps` is added to the mean square.
pub fn rms_norm(rec: &mut Recorder, x: &Tensor, weight: &Tensor, eps: f32, activation: Activation, dtype: DType) -> Result<Tensor> {
    let dims = Dims::new().check("x", x, &["L", "C"])?.check("weight", weight, &["C"])?;
    let out = rec.alloc(x.shape(), operand_dtype(dtype, x.cols()))?;
    let params = Params { rows: dims.get("L") as u32, cols: dims.get("C") as u32, eps };
    let lanes = lanes_of(x.cols());
    let constants = [("ACT", activation as u32), ("LANES", lanes)];
    let args = [Arg::rows(x), Arg::rows(weight), Arg::rows(&out)];
    rec.dispatch(&RMS_NORM, &constants, &params, &args, groups_of(dims.get("L"), lanes), Cost::of(4.0 * x.len() as f64, &args))?;
    Ok(out)
}

/// How many of a workgroup's threads may have a row.
pub(super) const LANES: &[u32] = &[1, 2, 4, 8, 16, 32, 64];

/// Four vec4s a thread, so that the threads of a workgroup are busy with short rows too: a pixel of the VAE has some hundred channels.
pub(super) fn lanes_of(cols: usize) -> u32 {
    (cols as u32).div_ceil(16).next_power_of_two().min(64)
}

/// Workgroups of 64 threads for so many rows.
pub(super) fn groups_of(rows: usize, lanes: u32) -> usize {
    rows.div_ceil(64 / lanes as usize)
}
