//! The one-euro filter (Casiez et al. 2012): a low-pass filter that lets fast movements through.

use std::f64::consts::TAU;

/// Cutoff of a signal that rests, in Hz.
const MIN_CUTOFF: f64 = 1.0;
/// By how much the cutoff rises with speed, in Hz for each unit a second.
const BETA: f64 = 0.3;
/// Cutoff of the speed itself, in Hz.
const SPEED_CUTOFF: f64 = 1.0;

/// `values`, `fps` a second, smoothed. `unit` is what speeds are measured in. The filter runs forwards and backwards and the mean is
/// taken, so that nothing lags behind.
pub(super) fn smooth(values: &[f64], unit: f64, fps: f64) -> Vec<f64> {
    let forwards = pass(values.iter().copied(), unit, fps);
    let backwards = pass(values.iter().rev().copied(), unit, fps);
    forwards.iter().zip(backwards.iter().rev()).map(|(a, b)| (a + b) / 2.0).collect()
}

fn pass(values: impl Iterator<Item = f64>, unit: f64, fps: f64) -> Vec<f64> {
    let weight = |cutoff: f64| 1.0 / (1.0 + fps / (TAU * cutoff));
    let mut last: Option<(f64, f64)> = None;
    values
        .map(|value| {
            let (smoothed, speed) = match last {
                None => (value, 0.0),
                Some((before, speed)) => {
                    let speed = speed + weight(SPEED_CUTOFF) * ((value - before) / unit * fps - speed);
                    (before + weight(MIN_CUTOFF + BETA * speed.abs()) * (value - before), speed)
                }
            };
            last = Some((smoothed, speed));
            smoothed
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roughness(values: &[f64]) -> f64 {
        values.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum()
    }

    #[test]
    fn a_still_point_that_jitters_is_calmed() {
        // A fixed sequence of hashes for noise, one pixel to each side.
        let noise: Vec<f64> = (0..120u64).map(|i| 300.0 + ((i * 2_654_435_761) % 1000) as f64 / 500.0 - 1.0).collect();
        let calm = smooth(&noise, 150.0, 30.0);
        assert!(roughness(&calm) < roughness(&noise) / 5.0, "{} of {}", roughness(&calm), roughness(&noise));
    }

    #[test]
    fn a_steady_movement_is_followed_without_lag() {
        let line: Vec<f64> = (0..60).map(|i| 4.0 * f64::from(i)).collect();
        let smoothed = smooth(&line, 150.0, 30.0);
        assert!((smoothed[30] - line[30]).abs() < 0.5, "{} of {}", smoothed[30], line[30]);
    }
}
