//! Convolutions with a kernel of its own for each channel.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::kernel::{READ, VECTOR_OPTIONAL, WRITE, params};
use crate::gpu::{Arg, Kernel, Recorder, Slot, Tensor};
use crate::ops::{activation::ACTIVATIONS, activation::Activation, libs::ACTIVATION, pool::Window};
use crate::shape::Dims;

/// See `wgsl/channelwise.wgsl`.
pub static CHANNELWISE: Kernel = Kernel {
    libs: &[ACTIVATION],
    slots: &[Slot::read("x", READ), Slot::read("w", READ), Slot::read("bias", VECTOR_OPTIONAL), Slot::write("out", WRITE)],
    variants: &[&[("ACT", ACTIVATIONS)]],
    ..Kernel::of("channelwise", include_str!("../../wgsl/channelwise.wgsl"), size_of::<Params>())
};

params!(Params { count: u32, input: [u32; 2], output: [u32; 2], channels: u32, kernel: [u32; 2], stride: [u32; 2], pad: [u32; 2] });

/// x [B, H, W, C] with w [KH, KW, C], the bias `[C]` and then the activation, by a window whose kernel is w's: [B, H, W, C] of its places as `dtype`.
pub fn channelwise(
    rec: &mut Recorder,
    x: &Tensor,
    (w, bias): (&Tensor, Option<&Tensor>),
    window: &Window,
    activation: Activation,
    dtype: DType,
) -> Result<Tensor> {
    let dims = Dims::new().check("x", x, &["B", "H", "W", "C"])?.check("w", w, &["KH", "KW", "C"])?.check_optional("bias", bias, &["C"])?;
    let image = [dims.get("H"), dims.get("W")];
    window.check(image)?;
    if window.kernel != [dims.get("KH"), dims.get("KW")] {
        return Err(Error::Input(format!("w: shape {:?} for {window:?}", w.shape())));
    }
    let [out_h, out_w] = window.places;
    let out = rec.alloc(&[dims.get("B"), out_h, out_w, dims.get("C")], super::operand_dtype(dtype, x.cols()))?;
    let count = out.rows() * out.cols().div_ceil(4);
    let words = |pair: [usize; 2]| pair.map(|size| size as u32);
    let params = Params {
        count: count as u32,
        input: words(image),
        output: words(window.places),
        channels: dims.get("C") as u32,
        kernel: words(window.kernel),
        stride: words(window.stride),
        pad: words(window.pad.map(|pad| pad.0)),
    };
    let args = [Arg::rows(x), Arg::rows(w), Arg::optional_rows(bias), Arg::rows(&out)];
    let flops = 64.0 * 8.0 * (window.kernel[0] * window.kernel[1]) as f64;
    rec.dispatch(&CHANNELWISE, &[("ACT", activation as u32)], &params, &args, count.div_ceil(64), flops)?;
    Ok(out)
}
