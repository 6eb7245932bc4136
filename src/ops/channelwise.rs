//! Convolutions with a kernel of its own for each channel.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::kernel::{READ, READ_OPTIONAL, VECTOR_OPTIONAL, WRITE};
use crate::gpu::{Arg, Cost, Kernel, Recorder, Slot, Tensor};
use crate::ops::finish::{ALL_ACTIVATIONS, Finish};
use crate::ops::window::{Window, WindowParams};
use crate::shape::Dims;

pub static CHANNELWISE: Kernel = Kernel {
    slots: &[
        Slot::read("x", READ),
        Slot::read("w", READ),
        Slot::read("bias", VECTOR_OPTIONAL),
        Slot::read("residual", READ_OPTIONAL),
        Slot::read("slope", VECTOR_OPTIONAL),
        Slot::write("out", WRITE),
    ],
    variants: &[&[("PIXELS", &[4, 8]), ("SLIDE", &[0, 1]), ("ACT", ALL_ACTIVATIONS)]],
    ..Kernel::of("channelwise", include_str!("../../wgsl/channelwise.wgsl"), size_of::<WindowParams>())
};

/// Pixels of a row that a lane makes: eight, where that leaves no more over than four.
fn pixels(width: usize) -> usize {
    if width.next_multiple_of(8) == width.next_multiple_of(4) { 8 } else { 4 }
}

/// x [B, H, W, C] with w [KH, KW, C] and what follows the sums, by a window whose kernel is w's: [B, H, W, C] of its places as `dtype`.
pub fn channelwise(rec: &mut Recorder, x: &Tensor, w: &Tensor, window: &Window, finish: Finish, dtype: DType) -> Result<Tensor> {
    let dims = Dims::new().check("x", x, &["B", "H", "W", "C"])?.check("w", w, &["KH", "KW", "C"])?;
    window.check([dims.get("H"), dims.get("W")])?;
    if window.kernel != [dims.get("KH"), dims.get("KW")] {
        return Err(Error::Input(format!("w: shape {:?} for {window:?}", w.shape())));
    }
    let [out_h, out_w] = window.places;
    let out = rec.alloc(&[dims.get("B"), out_h, out_w, dims.get("C")], super::operand_dtype(dtype, x.cols()))?;
    finish.check(&out)?;
    let pixels = pixels(out_w);
    let strips = dims.get("B") * out_h * out_w.div_ceil(pixels) * dims.get("C").div_ceil(4);
    let params = WindowParams { count: strips as u32, last: finish.last(), ..window.params(x) };
    let [bias, residual, slope] = finish.args();
    let args = [Arg::rows(x), Arg::rows(w), bias, residual, slope, Arg::rows(&out)];
    let cost = Cost::of((2 * out.len() * window.kernel[0] * window.kernel[1]) as f64, &args);
    let constants = [("PIXELS", pixels as u32), ("SLIDE", u32::from(window.stride[1] == 1)), ("ACT", finish.function())];
    rec.dispatch(&CHANNELWISE, &constants, &params, &args, strips.div_ceil(64), cost)?;
    Ok(out)
}
