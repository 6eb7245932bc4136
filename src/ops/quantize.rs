//! Floats to signed bytes with a scale for each row.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::kernel::{INDEX, SCALAR, params};
use crate::gpu::{Arg, Cost, Element, Kernel, Recorder, Slot, Tensor};
use crate::shape::Dims;

pub static QUANTIZE: Kernel = Kernel {
    slots: &[Slot::read("x", &[Element::F32x4, Element::F16x4]), Slot::write("codes", INDEX), Slot::write("scales", SCALAR)],
    ..Kernel::of("quantize", include_str!("../../wgsl/quantize.wgsl"), size_of::<Params>())
};

params!(Params { cols: u32 });

/// x [L, C], C a multiple of four, as words [L, C / 4] of four signed bytes each, and scales `[L]`: what [`dequantize`](super::dequantize::dequantize) takes.
pub fn quantize(rec: &mut Recorder, x: &Tensor) -> Result<(Tensor, Tensor)> {
    let dims = Dims::new().check("x", x, &["L", "C"])?;
    let (rows, cols) = (dims.get("L"), dims.get("C"));
    if !cols.is_multiple_of(4) {
        return Err(Error::Unsupported(format!("rows of {cols} in 8 bits, which is no multiple of four")));
    }
    let codes = rec.alloc(&[rows, cols / 4], DType::F32)?;
    let scales = rec.alloc(&[rows], DType::F32)?;
    let args = [Arg::rows(x), Arg::index(&codes), Arg::scalar(&scales)];
    rec.dispatch(&QUANTIZE, &[], &Params { cols: cols as u32 }, &args, rows, Cost::of(3.0 * x.len() as f64, &args))?;
    Ok((codes, scales))
}
