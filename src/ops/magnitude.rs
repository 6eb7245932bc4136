//! How large the elements of tensors are, told to the host.

use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::ops::copy::concat;
use crate::ops::rows::{Reduction, reduce};
use crate::ops::unary::{Function, unary};

/// The sum of the absolute values of each row of x [.., C].
pub fn row_magnitudes(rec: &mut Recorder, x: &Tensor) -> Result<Tensor> {
    let rows = x.reshape(&[x.len() / x.cols(), x.cols()]);
    let magnitudes = unary(rec, &rows, Function::Abs)?;
    reduce(rec, &magnitudes, Reduction::Sum)
}

/// The sum of each of these `[L]`. Waits for the GPU, once.
pub fn sums(rec: &mut Recorder, rows: &[Tensor]) -> Result<Vec<f64>> {
    let all = concat(rec, &rows.iter().collect::<Vec<_>>())?;
    let mut values = rec.download(&all)?.into_iter().map(f64::from);
    Ok(rows.iter().map(|rows| values.by_ref().take(rows.len()).sum()).collect())
}

/// The Euclidean norms of the rows of x [L, C]. Waits for the GPU.
pub fn row_norms(rec: &mut Recorder, x: &Tensor) -> Result<Vec<f32>> {
    let norms = reduce(rec, x, Reduction::Norm)?;
    rec.download(&norms)
}
