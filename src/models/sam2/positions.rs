//! Numbers that tell where in an image something is, made on the host.

use std::f64::consts::TAU;

/// Keys' cubic with a = -3/4, as torch has it: of the four neighbours of a place that is `t` beyond the second.
fn cubic(t: f64) -> [f64; 4] {
    const A: f64 = -0.75;
    let near = |x: f64| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]
}

/// For each of `side` places the neighbours among `from`, and their weights.
fn neighbours(from: usize, side: usize) -> Vec<[(usize, f64); 4]> {
    let place = |i: usize| {
        let at = (i as f64 + 0.5) * from as f64 / side as f64 - 0.5;
        let (first, weights) = (at.floor() as isize - 1, cubic(at - at.floor()));
        std::array::from_fn(|k| ((first + k as isize).clamp(0, from as isize - 1) as usize, weights[k]))
    };
    (0..side).map(place).collect()
}

/// The positions of Hiera's tokens, [side, side, C]: coarse ones [C, height, width] by bicubic interpolation, and those within a window
/// [C, window, window], again and again.
pub fn hiera(coarse: &[f32], [height, width]: [usize; 2], within: &[f32], window: usize, side: usize) -> Vec<f32> {
    let channels = coarse.len() / (height * width);
    let (rows, columns) = (neighbours(height, side), neighbours(width, side));
    let mut out = Vec::with_capacity(side * side * channels);
    for (y, row) in rows.iter().enumerate() {
        for (x, column) in columns.iter().enumerate() {
            out.extend((0..channels).map(|channel| {
                let line = |y: usize| column.iter().map(|&(x, w)| w * f64::from(coarse[(channel * height + y) * width + x])).sum::<f64>();
                let smooth: f64 = row.iter().map(|&(y, weight)| weight * line(y)).sum();
                smooth as f32 + within[(channel * window + y % window) * window + x % window]
            }));
        }
    }
    out
}

/// A place in an image, each coordinate from 0 to 1, as sines and cosines of its products with `matrix` [2, C / 2]: C numbers.
pub fn fourier(matrix: &[f32], (x, y): (f64, f64)) -> Vec<f32> {
    let (of_x, of_y) = matrix.split_at(matrix.len() / 2);
    let angle = |(a, b): (&f32, &f32)| TAU * ((2.0 * x - 1.0) * f64::from(*a) + (2.0 * y - 1.0) * f64::from(*b));
    let angles: Vec<f64> = of_x.iter().zip(of_y).map(angle).collect();
    angles.iter().map(|angle| angle.sin() as f32).chain(angles.iter().map(|angle| angle.cos() as f32)).collect()
}

/// The same of the middles of side x side cells: [side * side, C].
pub fn grid(matrix: &[f32], side: usize) -> Vec<f32> {
    let middle = |i: usize| (i as f64 + 0.5) / side as f64;
    (0..side * side).flat_map(|i| fourier(matrix, (middle(i % side), middle(i / side)))).collect()
}

/// Wavelengths of sines and of turns grow up to this.
const LONGEST: f64 = 1e4;

/// Sines and cosines of rows and columns, counted from 1 and in parts of a turn, of side x side cells: [side * side, width].
pub fn sine(width: usize, side: usize) -> Vec<f32> {
    let half = width / 2;
    let number = |at: usize, i: usize| {
        let angle = (at + 1) as f64 / (side as f64 + 1e-6) * TAU / LONGEST.powf((2 * (i / 2)) as f64 / half as f64);
        if i.is_multiple_of(2) { angle.sin() as f32 } else { angle.cos() as f32 }
    };
    let cell = |cell: usize| (0..width).map(move |i| if i < half { number(cell / side, i) } else { number(cell % side, i - half) });
    (0..side * side).flat_map(cell).collect()
}

/// Angles of pairs, the first half by column and the others by row, of side x side cells: [side * side, width / 2].
pub fn axial(width: usize, side: usize) -> Vec<f64> {
    let quarter = width / 4;
    let angle = |at: usize, i: usize| at as f64 / LONGEST.powf(i as f64 / quarter as f64);
    let cell =
        |cell: usize| (0..2 * quarter).map(move |i| if i < quarter { angle(cell % side, i) } else { angle(cell / side, i - quarter) });
    (0..side * side).flat_map(cell).collect()
}

/// Sines of a time at growing wavelengths, then its cosines: `width` numbers.
pub fn time(width: usize, at: f64) -> Vec<f64> {
    let half = width / 2;
    let angle = |i: usize| at / LONGEST.powf((2 * (i / 2)) as f64 / half as f64);
    (0..half).map(|i| angle(i).sin()).chain((0..half).map(|i| angle(i).cos())).collect()
}
