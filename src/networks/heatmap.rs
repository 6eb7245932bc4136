//! From heatmaps to points: the highest place, refined as DARK does (distribution-aware coordinates, arXiv 1910.06278).

use crate::preprocess::Keypoint;

/// Of the Gaussian that heatmaps are blurred with: 11 places wide, deviation 2.
const RADIUS: usize = 5;
const DEVIATION: f64 = 2.0;

/// No point is further away from where its map is highest.
const FARTHEST: f64 = 1e4;

/// Below this no logarithm is taken.
const LEAST: f64 = 1e-10;

/// The points of heatmaps [points, height, width], in places of these; scores are the highest values, which may be above 1.
pub(super) fn decode_heatmaps(values: &[f32], (width, height): (usize, usize)) -> Vec<Keypoint> {
    let kernel = kernel();
    values.chunks_exact(width * height).map(|map| decode(map, (width, height), &kernel)).collect()
}

fn decode(map: &[f32], (width, height): (usize, usize), kernel: &[f64]) -> Keypoint {
    let (at, &highest) = map.iter().enumerate().fold((0, &map[0]), |best, next| if next.1 > best.1 { next } else { best });
    let score = f64::from(highest);
    if score <= 0.0 {
        return Keypoint { x: -1.0, y: -1.0, score };
    }
    let (x, y) = (at % width, at / width);
    let mut point = Keypoint { x: x as f64, y: y as f64, score };
    if (2..width.saturating_sub(2)).contains(&x) && (2..height.saturating_sub(2)).contains(&y) {
        let blurred = blur(map, (width, height), kernel);
        let most = blurred.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let level = |dx: isize, dy: isize| {
            let at = y.wrapping_add_signed(dy) * width + x.wrapping_add_signed(dx);
            (blurred[at] * score / most).max(LEAST).ln()
        };
        // Where a map is nearly flat it may be sent far beyond any picture.
        let (dx, dy) = newton(level);
        if dx.abs() <= FARTHEST && dy.abs() <= FARTHEST {
            (point.x, point.y) = (point.x + dx, point.y + dy);
        }
    }
    point
}

/// One step to where the logarithm has its peak.
fn newton(level: impl Fn(isize, isize) -> f64) -> (f64, f64) {
    let (dx, dy) = (0.5 * (level(1, 0) - level(-1, 0)), 0.5 * (level(0, 1) - level(0, -1)));
    let dxx = 0.25 * (level(2, 0) - 2.0 * level(0, 0) + level(-2, 0));
    let dyy = 0.25 * (level(0, 2) - 2.0 * level(0, 0) + level(0, -2));
    let dxy = 0.25 * (level(1, 1) - level(1, -1) - level(-1, 1) + level(-1, -1));
    let determinant = dxx * dyy - dxy * dxy;
    if determinant == 0.0 {
        return (0.0, 0.0);
    }
    (-(dyy * dx - dxy * dy) / determinant, -(dxx * dy - dxy * dx) / determinant)
}

fn kernel() -> Vec<f64> {
    let weights: Vec<f64> = (0..=2 * RADIUS).map(|i| (-(i as f64 - RADIUS as f64).powi(2) / (2.0 * DEVIATION * DEVIATION)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// With zeros around it.
fn blur(map: &[f32], (width, height): (usize, usize), kernel: &[f64]) -> Vec<f64> {
    let along = |values: &dyn Fn(usize) -> f64, at: usize, length: usize| {
        let taps = kernel
            .iter()
            .enumerate()
            .filter_map(|(i, weight)| Some(weight * values((at + i).checked_sub(RADIUS).filter(|&at| at < length)?)));
        taps.sum::<f64>()
    };
    let places = || (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let rows: Vec<f64> = places().map(|(x, y)| along(&|x| f64::from(map[y * width + x]), x, width)).collect();
    places().map(|(x, y)| along(&|y| rows[y * width + x], y, height)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gaussian_is_found_between_places() {
        let (width, height) = (48, 64);
        for (x, y) in [(20.3, 31.6), (5.0, 60.4), (44.7, 7.2)] {
            let value = |at: usize| {
                let (dx, dy) = ((at % width) as f64 - x, (at / width) as f64 - y);
                (1.2 * (-(dx * dx + dy * dy) / 8.0).exp()) as f32
            };
            let map: Vec<f32> = (0..width * height).map(value).collect();
            let found = decode_heatmaps(&map, (width, height))[0];
            // Zeros beyond the edge move the peak of what is near it.
            assert!((found.x - x).abs() < 0.3 && (found.y - y).abs() < 0.3, "{found:?} at {x}, {y}");
            assert!(found.score > 1.0);
        }
    }

    #[test]
    fn nothing_is_nowhere() {
        let empty = decode_heatmaps(&[-0.5; 12 * 16], (12, 16))[0];
        assert_eq!((empty.x, empty.y, empty.score), (-1.0, -1.0, -0.5));
        let mut edge = vec![0.0; 12 * 16];
        edge[12] = 0.25;
        let edge = decode_heatmaps(&edge, (12, 16))[0];
        assert_eq!((edge.x, edge.y, edge.score), (0.0, 1.0, 0.25));
    }
}
