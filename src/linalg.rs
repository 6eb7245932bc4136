//! Linear algebra on the host, in f64.

/// The thin Q factor, [rows, min(rows, cols)], of the QR decomposition of a matrix [rows, cols], both row by row.
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
