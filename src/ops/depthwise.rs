//! One small filter for every channel: the blur of the motion encoder.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::kernel::{READ, SCALAR, WRITE, params};
use crate::gpu::{Arg, Cost, Kernel, Recorder, Slot, Tensor};
use crate::ops::operand::operand_dtype;
use crate::shape::Dims;

pub static DEPTHWISE: Kernel = Kernel {
    slots: &[Slot::read("x", READ), Slot::read("kernel", SCALAR), Slot::write("out", WRITE)],
    ..Kernel::of("depthwise", include_str!("../../wgsl/depthwise.wgsl"), size_of::<Params>())
};

params!(Params { count: u32, in_h: u32, in_w: u32, out_h: u32, out_w: u32, channels: u32, k: u32, pad: u32 });

/// x [B, H, W, C] filtered with kernel [K, K] after `pad` = (before, after) zeros on each side:
/// [B, H + before + after - K + 1, the same for W, C] as `dtype`.
pub fn depthwise(rec: &mut Recorder, x: &Tensor, kernel: &Tensor, pad: (usize, usize), dtype: DType) -> Result<Tensor> {
    let dims = Dims::new().check("x", x, &["B", "H", "W", "C"])?.check("kernel", kernel, &["K", "K"])?;
    let (h, w, k) = (dims.get("H"), dims.get("W"), dims.get("K"));
    let margin = pad.0 + pad.1;
    if h.min(w) + margin < k {
        return Err(Error::Input(format!("a {k}x{k} filter over {h}x{w} pixels has no result")));
    }
    let (out_h, out_w) = (h + margin + 1 - k, w + margin + 1 - k);
    let out = rec.alloc(&[dims.get("B"), out_h, out_w, dims.get("C")], operand_dtype(dtype, x.cols()))?;
    let count = out.rows() * out.cols().div_ceil(4);
    let params = Params {
        count: count as u32,
        in_h: h as u32,
        in_w: w as u32,
        out_h: out_h as u32,
        out_w: out_w as u32,
        channels: dims.get("C") as u32,
        k: k as u32,
        pad: pad.0 as u32,
    };
    let args = [Arg::rows(x), Arg::scalar(kernel), Arg::rows(&out)];
    rec.dispatch(&DEPTHWISE, &[], &params, &args, count.div_ceil(64), Cost::of((2 * k * k * out.len()) as f64, &args))?;
    Ok(out)
}
