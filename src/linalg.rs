//! Linear algebra on the host: what happens once, while loading.

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

/// Rows and columns of the tile of a product that is summed up in registers.
const TILE: (usize, usize) = (4, 8);

/// The product [rows, cols] of `left` [rows, inner] and `right` [inner, cols], all row by row, in f32 and over all cores.
///
/// Each element is summed up in the order of `inner`, so neither the number of cores nor the other rows change its bits.
///
/// # Panics
/// If `left` and `right` do not have whole rows and columns of `inner`, or `inner` is 0, which is a mistake in the calling code.
pub fn product(left: &[f32], right: &[f32], inner: usize) -> Vec<f32> {
    product_in::<f32>(left, right, inner)
}

/// [`product`] in f64, rounded at the end: half as fast.
///
/// # Panics
/// As [`product`].
pub fn exact_product(left: &[f32], right: &[f32], inner: usize) -> Vec<f32> {
    product_in::<f64>(left, right, inner)
}

/// What products are summed up in.
trait Sum: Copy + Default {
    fn add(&mut self, left: f32, right: f32);
    fn rounded(self) -> f32;
}

impl Sum for f32 {
    fn add(&mut self, left: f32, right: f32) {
        *self += left * right;
    }
    fn rounded(self) -> f32 {
        self
    }
}

impl Sum for f64 {
    fn add(&mut self, left: f32, right: f32) {
        *self += Self::from(left) * Self::from(right);
    }
    fn rounded(self) -> f32 {
        self as f32
    }
}

fn product_in<S: Sum>(left: &[f32], right: &[f32], inner: usize) -> Vec<f32> {
    assert!(inner > 0 && left.len().is_multiple_of(inner) && right.len().is_multiple_of(inner), "factors share an extent of {inner}");
    let (rows, cols) = (left.len() / inner, right.len() / inner);
    let mut out = vec![0.0; rows * cols];
    if out.is_empty() {
        return out;
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    if threads == 1 {
        // A browser has none to spawn.
        product_rows::<S>(left, right, inner, &mut out);
        return out;
    }
    let share = rows.div_ceil(threads).next_multiple_of(TILE.0);
    std::thread::scope(|scope| {
        for (out, left) in out.chunks_mut(share * cols).zip(left.chunks(share * inner)) {
            scope.spawn(move || product_rows::<S>(left, right, inner, out));
        }
    });
    out
}

/// A thread's rows of a product, by strips of columns: a strip of `right` is brought together so that it stays in the cache.
fn product_rows<S: Sum>(left: &[f32], right: &[f32], inner: usize, out: &mut [f32]) {
    let cols = right.len() / inner;
    let mut strip = vec![[0.0; TILE.1]; inner];
    for begin in (0..cols).step_by(TILE.1) {
        let width = TILE.1.min(cols - begin);
        for (strip, row) in strip.iter_mut().zip(right.chunks_exact(cols)) {
            strip[..width].copy_from_slice(&row[begin..begin + width]);
        }
        for (left, out) in left.chunks(TILE.0 * inner).zip(out.chunks_mut(TILE.0 * cols)) {
            let tile = tile::<S>(left, &strip, inner);
            for (sums, out) in tile.iter().zip(out.chunks_exact_mut(cols)) {
                out[begin..begin + width].iter_mut().zip(sums).for_each(|(out, sum)| *out = sum.rounded());
            }
        }
    }
}

/// Up to four rows times a strip.
fn tile<S: Sum>(left: &[f32], strip: &[[f32; TILE.1]], inner: usize) -> [[S; TILE.1]; TILE.0] {
    // Where there are fewer rows, the last is computed again.
    let last = left.len() / inner - 1;
    let [a, b, c, d]: [&[f32]; TILE.0] = std::array::from_fn(|row| &left[row.min(last) * inner..][..inner]);
    let mut sums = [[S::default(); TILE.1]; TILE.0];
    // Without indices, so that the sums stay in vector registers.
    for ((((strip, a), b), c), d) in strip.iter().zip(a).zip(b).zip(c).zip(d) {
        for (sums, &value) in sums.iter_mut().zip([a, b, c, d]) {
            sums.iter_mut().zip(strip).for_each(|(sum, right)| sum.add(value, *right));
        }
    }
    sums
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
