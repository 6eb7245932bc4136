//! Images at other sizes, nearest or linear, by any rule for coordinates.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::kernel::{READ, SCALAR, WRITE, params};
use crate::gpu::{Arg, Cost, Kernel, Recorder, Slot, Tensor};
use crate::shape::Dims;

pub static RESAMPLE: Kernel = Kernel {
    slots: &[Slot::read("x", READ), Slot::read("rows", SCALAR), Slot::read("columns", SCALAR), Slot::write("out", WRITE)],
    ..Kernel::of("resample", include_str!("../../wgsl/resample.wgsl"), size_of::<Params>())
};

params!(Params { count: u32, input: [u32; 2], output: [u32; 2], channels: u32 });

/// A line of the result: the lines of the image that it lies between, and how far it is from the first, 0, to the second, 1.
pub type Between = (usize, usize, f32);

/// x [B, H, W, C] as [B, rows, columns, C].
pub fn resample(rec: &mut Recorder, x: &Tensor, rows: &[Between], columns: &[Between], dtype: DType) -> Result<Tensor> {
    let dims = Dims::new().check("x", x, &["B", "H", "W", "C"])?;
    let image = [dims.get("H"), dims.get("W")];
    for (lines, extent) in [(rows, image[0]), (columns, image[1])] {
        if lines.is_empty() || lines.iter().any(|&(first, second, _)| first.max(second) >= extent) {
            return Err(Error::Input(format!("{} lines of a result from {extent} of an image", lines.len())));
        }
    }
    let [rows, columns] = [rows, columns].map(|lines| lines.iter().flat_map(|&(a, b, t)| [a as f32, b as f32, t]).collect::<Vec<_>>());
    let output = [rows.len() / 3, columns.len() / 3];
    let (rows, columns) = (rec.upload(&[output[0], 3], &rows)?, rec.upload(&[output[1], 3], &columns)?);
    let out = rec.alloc(&[dims.get("B"), output[0], output[1], dims.get("C")], super::operand_dtype(dtype, x.cols()))?;
    let count = out.rows() * out.cols().div_ceil(4);
    let words = |pair: [usize; 2]| pair.map(|size| size as u32);
    let params = Params { count: count as u32, input: words(image), output: words(output), channels: dims.get("C") as u32 };
    let args = [Arg::rows(x), Arg::scalar(&rows), Arg::scalar(&columns), Arg::rows(&out)];
    rec.dispatch(&RESAMPLE, &[], &params, &args, count.div_ceil(64), Cost::of(8.0 * out.len() as f64, &args))?;
    Ok(out)
}
