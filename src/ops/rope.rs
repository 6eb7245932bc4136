//! Rotary position embedding of queries and keys, interleaved pairs.

use bytemuck::{Pod, Zeroable};

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::Recorder;
use crate::gpu::kernel::{Arg, Kernel, Needs, READ, SCALAR, Slot, WRITE};
use crate::shape::Dims;
use crate::tensor::Tensor;

/// See `wgsl/rope.wgsl`.
pub static ROPE: Kernel = Kernel {
    name: "rope",
    source: include_str!("../../wgsl/rope.wgsl"),
    libs: &[],
    workgroup: 64,
    slots: &[Slot::read("x", READ), Slot::read("cos", SCALAR), Slot::read("sin", SCALAR), Slot::write("out", WRITE)],
    params_bytes: size_of::<Params>(),
    variants: &[&[]],
    needs: Needs::Nothing,
};

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    tokens: u32,
    cols: u32,
    half: u32,
    count: u32,
}

/// x [L, N * D], cos and sin [L, D / 2] to [L, N * D] as `dtype`.
pub fn rope(rec: &mut Recorder, x: &Tensor, cos: &Tensor, sin: &Tensor, dtype: DType) -> Result<Tensor> {
    let dims = Dims::new().check("x", x, &["L", "C"])?.check("cos", cos, &["L", "D/2"])?.check("sin", sin, &["L", "D/2"])?;
    let half = dims.get("D/2");
    if half == 0 || !x.cols().is_multiple_of(2 * half) {
        return Err(Error::Input(format!("x: C is {}, which is no multiple of the head's {}", x.cols(), 2 * half)));
    }
    let out = rec.alloc(x.shape(), super::operand_dtype(dtype, x.cols()))?;
    let count = dims.get("L") * x.cols().div_ceil(4);
    let params = Params { tokens: dims.get("L") as u32, cols: x.cols() as u32, half: half as u32, count: count as u32 };
    let args = [Arg::rows(x), Arg::scalar(cos), Arg::scalar(sin), Arg::rows(&out)];
    rec.dispatch(&ROPE, &[], &params, &args, count.div_ceil(64), 64.0 * 64.0)?;
    Ok(out)
}
