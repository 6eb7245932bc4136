//! Rotary position embedding, interleaved pairs, of rows whose places repeat.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::kernel::{SCALAR, params};
use crate::gpu::{Arg, Cost, Element, Kernel, Recorder, Slot, Tensor};
use crate::ops::norm_rope::Rotation;
use crate::shape::Dims;

const FLAT: &[Element] = &[Element::F32x4, Element::F16x4];

pub static ROPE: Kernel = Kernel {
    slots: &[Slot::read("x", FLAT), Slot::read("cos", SCALAR), Slot::read("sin", SCALAR), Slot::write("out", FLAT)],
    ..Kernel::of("rope", include_str!("../../wgsl/rope.wgsl"), size_of::<Params>())
};

params!(Params { count: u32, cols: u32, places: u32, rotated: u32 });

/// x [L, C] to the same as `dtype`. The first `rotated` rows are rotated by the angles [P, C / 2] of their places, 0 to P - 1 and from 0 again;
/// others stay.
pub fn rope(rec: &mut Recorder, x: &Tensor, rotation: Rotation, rotated: usize, dtype: DType) -> Result<Tensor> {
    let Rotation { cos, sin } = rotation;
    let dims = Dims::new().check("x", x, &["L", "C"])?.check("cos", cos, &["P", "C/2"])?.check("sin", sin, &["P", "C/2"])?;
    let (rows, cols) = (dims.get("L"), dims.get("C"));
    if !cols.is_multiple_of(4) || 2 * dims.get("C/2") != cols || rotated > rows {
        return Err(Error::Input(format!("{rotated} of {rows} rows of {cols} rotated by angles {:?}", cos.shape())));
    }
    let out = rec.alloc(x.shape(), dtype)?;
    let params = Params { count: x.len() as u32, cols: cols as u32, places: dims.get("P") as u32, rotated: rotated as u32 };
    let args = [Arg::flat(x), Arg::scalar(cos), Arg::scalar(sin), Arg::flat(&out)];
    rec.dispatch(&ROPE, &[], &params, &args, x.len().div_ceil(256), Cost::of(3.0 * x.len() as f64, &args))?;
    Ok(out)
}
