//! Resampling of float planes with PyTorch's `interpolate` rules (`align_corners=False`, no antialiasing).

/// One `width` x `height` plane to `new_width` x `new_height`: the source pixel at the scaled index, rounded down.
pub fn nearest(plane: &[f32], (width, height): (usize, usize), (new_width, new_height): (usize, usize)) -> Vec<f32> {
    let pick = |source: usize, target: usize| {
        let scale = source as f32 / target as f32;
        (0..target).map(move |i| ((i as f32 * scale) as usize).min(source - 1))
    };
    pick(height, new_height).flat_map(|y| pick(width, new_width).map(move |x| plane[y * width + x])).collect()
}

/// One `width` x `height` plane to `new_width` x `new_height` by Keys' cubic with a = -3/4; indices beyond an edge stay on it.
pub fn bicubic(plane: &[f32], (width, height): (usize, usize), (new_width, new_height): (usize, usize)) -> Vec<f32> {
    let (columns, rows) = (taps(width, new_width), taps(height, new_height));
    let along_row = |y: usize, column: &Taps| column.iter().map(|&(x, weight)| plane[y * width + x] * weight).sum::<f32>();
    rows.iter()
        .flat_map(|row| columns.iter().map(move |column| row.iter().map(|&(y, weight)| along_row(y, column) * weight).sum()))
        .collect()
}

/// Four source indices with their weights.
type Taps = [(usize, f32); 4];

fn taps(source: usize, target: usize) -> Vec<Taps> {
    let scale = source as f32 / target as f32;
    let last = source as i64 - 1;
    let taps = |index: usize| {
        let position = scale * (index as f32 + 0.5) - 0.5;
        let (base, t) = (position.floor(), position - position.floor());
        let distances = [t + 1.0, t, 1.0 - t, 2.0 - t];
        std::array::from_fn(|i| ((base as i64 - 1 + i as i64).clamp(0, last) as usize, cubic(distances[i])))
    };
    (0..target).map(taps).collect()
}

fn cubic(d: f32) -> f32 {
    const A: f32 = -0.75;
    if d <= 1.0 { ((A + 2.0) * d - (A + 3.0)) * d * d + 1.0 } else { ((A * d - 5.0 * A) * d + 8.0 * A) * d - 4.0 * A }
}
