//! Softmax of rows, and reductions of each to a number.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Arg, Cost, Element, Kernel, Recorder, Slot, Tensor, kernel::VECTOR, kernel::params};
use crate::shape::Dims;

pub static ROWS: Kernel = Kernel {
    slots: &[Slot::read("x", VECTOR), Slot::write("out", &[Element::F32, Element::F32x4])],
    variants: &[&[("KIND", &[0, 1, 2, 3, 4, 5])]],
    ..Kernel::of("rows", include_str!("../../wgsl/rows.wgsl"), size_of::<Params>())
};

params!(Params { cols: u32 });

/// What a row becomes; the numbers are those of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Reduction {
    /// Its sum
    Sum = 1,
    /// Its mean
    Mean = 2,
    /// Its largest element
    Max = 3,
    /// Its smallest element
    Min = 4,
    /// The root of the sum of its squares
    Norm = 5,
}

/// Softmax of each row of x [L, C] in f32.
pub fn softmax(rec: &mut Recorder, x: &Tensor) -> Result<Tensor> {
    let dims = Dims::new().check("x", x, &["L", "C"])?;
    let out = rec.alloc(x.shape(), DType::F32)?;
    record(rec, 0, x, (Arg::rows(&out), dims.get("L")))?;
    Ok(out)
}

/// Each row of x [L, C] in f32 reduced to a number: `[L]`.
pub fn reduce(rec: &mut Recorder, x: &Tensor, reduction: Reduction) -> Result<Tensor> {
    let dims = Dims::new().check("x", x, &["L", "C"])?;
    let out = rec.alloc(&[dims.get("L")], DType::F32)?;
    record(rec, reduction as u32, x, (Arg::scalar(&out), dims.get("L")))?;
    Ok(out)
}

fn record(rec: &mut Recorder, kind: u32, x: &Tensor, (out, rows): (Arg, usize)) -> Result<()> {
    let params = Params { cols: x.cols() as u32 };
    let args = [Arg::rows(x), out];
    rec.dispatch(&ROWS, &[("KIND", kind)], &params, &args, rows, Cost::of(2.0 * x.len() as f64, &args))
}
