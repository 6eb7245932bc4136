//! Largest elements and means of windows.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::kernel::{READ, WRITE};
use crate::gpu::{Arg, Cost, Kernel, Recorder, Slot, Tensor};
use crate::ops::window::{Window, WindowParams};
use crate::shape::Dims;

pub static POOL: Kernel = Kernel {
    slots: &[Slot::read("x", READ), Slot::write("out", WRITE)],
    variants: &[&[("MEAN", &[0, 1])]],
    ..Kernel::of("pool", include_str!("../../wgsl/pool.wgsl"), size_of::<WindowParams>())
};

/// What is made of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    Max,
    /// The mean of the elements in the image.
    Mean,
    /// The mean of those and of the zeros around it.
    MeanWithPads,
}

/// x [B, H, W, C] by windows to [B, H, W, C] of their places.
pub fn pool(rec: &mut Recorder, x: &Tensor, pool: Pool, window: &Window, dtype: DType) -> Result<Tensor> {
    let dims = Dims::new().check("x", x, &["B", "H", "W", "C"])?;
    window.check([dims.get("H"), dims.get("W")])?;
    let [out_h, out_w] = window.places;
    let out = rec.alloc(&[dims.get("B"), out_h, out_w, dims.get("C")], super::operand_dtype(dtype, x.cols()))?;
    let params = WindowParams { counted: u32::from(pool == Pool::MeanWithPads), ..window.params(x) };
    let args = [Arg::rows(x), Arg::rows(&out)];
    let cost = Cost::of((out.len() * window.kernel[0] * window.kernel[1]) as f64, &args);
    rec.dispatch(&POOL, &[("MEAN", u32::from(pool != Pool::Max))], &params, &args, params.count.div_ceil(64) as usize, cost)?;
    Ok(out)
}
