//! How large the elements of a tensor are, told to the host.

use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::ops::rows::{Reduction, reduce};
use crate::ops::unary::{Function, unary};

/// The sum of the absolute values of x's elements. Waits for the GPU.
pub fn sum_of_magnitudes(rec: &mut Recorder, x: &Tensor) -> Result<f64> {
    let rows = x.reshape(&[x.len() / x.cols(), x.cols()]);
    let magnitudes = unary(rec, &rows, Function::Abs)?;
    let sums = reduce(rec, &magnitudes, Reduction::Sum)?;
    Ok(rec.download(&sums)?.iter().map(|&sum| f64::from(sum)).sum())
}

/// The Euclidean norms of the rows of x [L, C]. Waits for the GPU.
pub fn row_norms(rec: &mut Recorder, x: &Tensor) -> Result<Vec<f32>> {
    let norms = reduce(rec, x, Reduction::Norm)?;
    rec.download(&norms)
}
