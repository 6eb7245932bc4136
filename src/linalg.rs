//! Linear algebra on the host.

use std::ops::Range;

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, Axis, CowArray, Ix2, s};

use crate::cores::on_all_cores;

/// The thin Q factor, [rows, min(rows, cols)], of the QR decomposition of a matrix [rows, cols], both row by row. Computed in f64.
///
/// By Householder reflections with LAPACK's signs, which numpy and torch have too: a column whose entry on the diagonal is
/// positive gets a negative entry in R, and one that is zero below the diagonal is left as it is.
///
/// # Panics
/// If `values` are not `rows * cols` many, which is a mistake in the calling code.
pub fn qr_q(values: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    assert_eq!(values.len(), rows * cols, "values of a matrix of {rows} x {cols}");
    let mut columns: Vec<Vec<f64>> = (0..cols).map(|c| (0..rows).map(|r| f64::from(values[r * cols + c])).collect()).collect();
    let thin = rows.min(cols);
    let mut reflections = Vec::with_capacity(thin);
    for k in 0..thin {
        let (done, rest) = columns.split_at_mut(k + 1);
        let reflection = Reflection::of(&done[k][k..]);
        rest.iter_mut().for_each(|column| reflection.apply(&mut column[k..]));
        reflections.push(reflection);
    }
    let mut q = vec![0.0; rows * thin];
    for c in 0..thin {
        let mut column = vec![0.0; rows];
        column[c] = 1.0;
        for (k, reflection) in reflections.iter().enumerate().rev() {
            reflection.apply(&mut column[k..]);
        }
        column.iter().enumerate().for_each(|(r, &value)| q[r * thin + c] = value as f32);
    }
    q
}

/// I - tau v v^T.
struct Reflection {
    tau: f64,
    v: Vec<f64>,
}

impl Reflection {
    /// The one that brings a column to its first entry; the identity where it is there already.
    fn of(column: &[f64]) -> Self {
        let mut v = column.to_vec();
        let below = norm(&column[1..]);
        if below == 0.0 {
            return Self { tau: 0.0, v };
        }
        let first = column[0];
        let result = -first.hypot(below).copysign(first);
        v[0] = 1.0;
        v[1..].iter_mut().for_each(|value| *value /= first - result);
        Self { tau: (result - first) / result, v }
    }

    fn apply(&self, column: &mut [f64]) {
        let product: f64 = self.v.iter().zip(&*column).map(|(a, b)| a * b).sum();
        column.iter_mut().zip(&self.v).for_each(|(value, v)| *value -= self.tau * product * v);
    }
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// Rows and columns of the parts of a product, each the work of one core. They go by its shape alone, so the number of cores changes no bit.
const ROWS: usize = 128;
pub const COLUMNS: usize = 512;

/// The product [rows, cols] of `left` [rows, inner] and `right` [inner, cols], all row by row, in f32 and over all cores.
///
/// # Panics
/// If `left` and `right` do not have whole rows and columns of `inner`, or `inner` is 0, which is a mistake in the calling code.
pub fn product(left: &[f32], right: &[f32], inner: usize) -> Vec<f32> {
    assert!(inner > 0 && left.len().is_multiple_of(inner) && right.len().is_multiple_of(inner), "factors share an extent of {inner}");
    let (rows, cols) = (left.len() / inner, right.len() / inner);
    let mut out = vec![0.0; rows * cols];
    multiply(matrix(left, rows, inner), matrix(right, inner, cols), |_, _| (), &mut out);
    out
}

/// Elements of a matrix row by row.
///
/// # Panics
/// If they are not as many as it has.
pub fn matrix(elements: &[f32], rows: usize, cols: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows, cols), elements).expect("as many elements as the matrix has")
}

/// `out` = `left` `right`, over all cores; as soon as some of a row is there, `finish` is given the row, the first column and the sums.
///
/// # Panics
/// If extents differ.
pub fn multiply(left: ArrayView2<f32>, right: ArrayView2<f32>, finish: impl Fn([usize; 2], &mut [f32]) + Sync, out: &mut [f32]) {
    multiply_by_columns(left, [right.ncols(), COLUMNS], |columns| right.slice_move(s![.., columns]).into(), finish, out);
}

/// [`multiply`] where `right` is some columns wide, and `columns` gives `step` of them at a time.
///
/// # Panics
/// If extents differ.
pub fn multiply_by_columns<'a>(
    left: ArrayView2<f32>,
    [cols, step]: [usize; 2],
    columns: impl Fn(Range<usize>) -> CowArray<'a, f32, Ix2> + Sync,
    finish: impl Fn([usize; 2], &mut [f32]) + Sync,
    out: &mut [f32],
) {
    let mut rest = ArrayViewMut2::from_shape((left.nrows(), cols), out).expect("as many elements as the product has");
    let mut parts = Vec::new();
    for row in (0..left.nrows()).step_by(ROWS) {
        let (mut strip, below) = rest.split_at(Axis(0), ROWS.min(left.nrows() - row));
        rest = below;
        for col in (0..cols).step_by(step) {
            let (part, beside) = strip.split_at(Axis(1), step.min(cols - col));
            strip = beside;
            parts.push((row, col, part));
        }
    }
    on_all_cores(2 * left.len() * cols, parts, |(row, col, mut part)| {
        let left = left.slice(s![row..row + part.nrows(), ..]);
        general_mat_mul(1.0, &left, &columns(col..col + part.ncols()), 0.0, &mut part);
        for (row, mut sums) in (row..).zip(part.rows_mut()) {
            sums.as_slice_mut().into_iter().for_each(|sums| finish([row, col], sums));
        }
    });
}

/// The X with the least sum of squares of `rows` X - `targets`, and of X times `ridge`; `rows` [N, cols] row by row. By the normal equations,
/// which the ridge keeps solvable.
///
/// # Panics
/// If there are other than N targets, which is a mistake in the calling code.
pub fn least_squares<const M: usize>(rows: &[f64], cols: usize, targets: &[[f64; M]], ridge: f64) -> Vec<[f64; M]> {
    assert_eq!(rows.len(), targets.len() * cols, "rows of {cols}");
    let mut matrix: Vec<Vec<f64>> = (0..cols).map(|i| (0..cols).map(|j| if i == j { ridge } else { 0.0 }).collect()).collect();
    let mut right = vec![[0.0; M]; cols];
    for (row, target) in rows.chunks_exact(cols).zip(targets) {
        for i in 0..cols {
            (0..cols).for_each(|j| matrix[i][j] += row[i] * row[j]);
            (0..M).for_each(|m| right[i][m] += row[i] * target[m]);
        }
    }
    // Symmetric and positive, so there is no need to look for a pivot.
    for k in 0..cols {
        for i in 0..cols {
            if i != k {
                let factor = matrix[i][k] / matrix[k][k];
                (k..cols).for_each(|j| matrix[i][j] -= factor * matrix[k][j]);
                (0..M).for_each(|m| right[i][m] -= factor * right[k][m]);
            }
        }
    }
    right.iter().enumerate().map(|(k, values)| values.map(|value| value / matrix[k][k])).collect()
}
