//! RMS norm of queries and keys, and their rotary position embedding, interleaved pairs: in one pass, since what it takes is memory alone.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::kernel::{READ, VECTOR, WRITE, params};
use crate::gpu::{Arg, Cost, Kernel, Recorder, Slot, Tensor};
use crate::ops::{
    operand::operand_dtype,
    rms_norm::{LANES, groups_of, lanes_of},
};
use crate::shape::Dims;

pub static NORM_ROPE: Kernel = Kernel {
    slots: &[
        Slot::read("x", READ),
        Slot::read("weight", VECTOR),
        Slot::read("cos", VECTOR),
        Slot::read("sin", VECTOR),
        Slot::write("out", WRITE),
    ],
    variants: &[&[("ALIGNED4", &[0, 1]), ("LANES", LANES)]],
    ..Kernel::of("norm_rope", include_str!("../../wgsl/norm_rope.wgsl"), size_of::<Params>())
};

params!(Params { tokens: u32, cols: u32, half_dim: u32, eps: f32 });

/// The angles of every token's pairs, [L, D / 2] each.
#[derive(Clone, Copy, Debug)]
pub struct Rotation<'a> {
    pub cos: &'a Tensor,
    pub sin: &'a Tensor,
}

/// x [L, N * D], weight `[N * D]` to [L, N * D] as `dtype`. `eps` is added to the mean square of a row.
pub fn norm_rope(rec: &mut Recorder, x: &Tensor, weight: &Tensor, eps: f32, rotation: Rotation, dtype: DType) -> Result<Tensor> {
    let Rotation { cos, sin } = rotation;
    let dims = Dims::new().check("x", x, &["L", "C"])?.check("weight", weight, &["C"])?;
    let dims = dims.check("cos", cos, &["L", "D/2"])?.check("sin", sin, &["L", "D/2"])?;
    let half = dims.get("D/2");
    if half == 0 || !x.cols().is_multiple_of(2 * half) {
        return Err(Error::Input(format!("x: C is {}, which is no multiple of the head's {}", x.cols(), 2 * half)));
    }
    let out = rec.alloc(x.shape(), operand_dtype(dtype, x.cols()))?;
    let params = Params { tokens: dims.get("L") as u32, cols: x.cols() as u32, half_dim: half as u32, eps };
    let args = [Arg::rows(x), Arg::rows(weight), Arg::rows(cos), Arg::rows(sin), Arg::rows(&out)];
    let lanes = lanes_of(x.cols());
    rec.dispatch(
        &NORM_ROPE,
        &[("ALIGNED4", u32::from(half.is_multiple_of(4))), ("LANES", lanes)],
        &params,
        &args,
        groups_of(dims.get("L"), lanes),
        Cost::of(10.0 * x.len() as f64, &args),
    )?;
    Ok(out)
}
