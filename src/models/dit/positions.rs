//! Rotary positions along time, height and width.
//!
//! A head of D numbers is split into D - 4 (D / 6) for time and 2 (D / 6) each for height and width, with integer division.
//! Angles are computed in f64, as in the reference.

use std::ops::Range;

use crate::error::Result;
use crate::gpu::{Recorder, Tensor};

const THETA: f64 = 10_000.0;

/// Cosines and sines of every token's angles, each [L, D / 2].
#[derive(Clone, Debug)]
pub struct Angles {
    /// [L, D / 2]
    pub cos: Tensor,
    /// [L, D / 2]
    pub sin: Tensor,
}

/// The tables for tokens at these places along time, height and width, in this order.
pub fn tables(rec: &mut Recorder, head_dim: usize, places: [Range<usize>; 3]) -> Result<Angles> {
    let shape = [places.iter().map(Range::len).product(), head_dim / 2];
    let cos = rec.upload_with(&shape, || Ok(angles(head_dim, &places, f64::cos)))?;
    Ok(Angles { cos, sin: rec.upload_with(&shape, || Ok(angles(head_dim, &places, f64::sin)))? })
}

/// A function of the angles, token by token. An angle depends on one axis alone, so the function is called for places, not for tokens.
fn angles(head_dim: usize, places: &[Range<usize>; 3], function: impl Fn(f64) -> f64) -> Vec<f32> {
    let side = 2 * (head_dim / 6);
    let dims = [head_dim - 2 * side, side, side];
    let axis = |(places, dim): (&Range<usize>, usize)| -> Vec<Vec<f32>> {
        let frequencies: Vec<_> = (0..dim / 2).map(|i| THETA.powf(-((2 * i) as f64) / dim as f64)).collect();
        let place = |place: usize| frequencies.iter().map(|frequency| function(place as f64 * frequency) as f32).collect();
        places.clone().map(place).collect()
    };
    let axes: Vec<_> = places.iter().zip(dims).map(axis).collect();
    let mut values = Vec::with_capacity(places.iter().map(Range::len).product::<usize>() * head_dim / 2);
    for frame in &axes[0] {
        for row in &axes[1] {
            for col in &axes[2] {
                values.extend(frame.iter().chain(row).chain(col));
            }
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_split_by_integer_division() {
        // D = 10: six numbers for time, two each for height and width.
        let angles = angles(10, &[1..3, 0..2, 0..3], |angle| angle);
        assert_eq!(angles.len(), 12 * 5);
        let last = &angles[11 * 5..];
        assert_eq!(last, [2.0, 2.0 * THETA.powf(-2.0 / 6.0), 2.0 * THETA.powf(-4.0 / 6.0), 1.0, 2.0].map(|angle| angle as f32));
    }
}
