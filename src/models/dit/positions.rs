//! Rotary positions along time, height and width.
//!
//! A head of D numbers is split into D - 4 (D / 6) for time and 2 (D / 6) each for height and width, with integer division.
//! Angles are computed in f64, as in the reference.

use crate::error::{Error, Result};
use crate::gpu::Recorder;
use crate::tensor::Tensor;

const THETA: f64 = 10_000.0;

/// Cosines and sines of every token's angles, each [L, D / 2].
#[derive(Clone, Debug)]
pub struct Angles {
    /// [L, D / 2]
    pub cos: Tensor,
    /// [L, D / 2]
    pub sin: Tensor,
}

/// The tables for a grid of tokens `[T, H, W]` in patches.
pub fn tables(rec: &mut Recorder, head_dim: usize, grid: [usize; 3], longest: usize) -> Result<Angles> {
    if let Some(size) = grid.into_iter().find(|&size| size > longest) {
        return Err(Error::Limits(format!("{size} tokens along one axis; the model has positions for {longest}")));
    }
    let angles = angles(head_dim, grid);
    let shape = [angles.len() / (head_dim / 2), head_dim / 2];
    let cos: Vec<f32> = angles.iter().map(|angle| angle.cos() as f32).collect();
    let sin: Vec<f32> = angles.iter().map(|angle| angle.sin() as f32).collect();
    Ok(Angles { cos: rec.upload(&shape, &cos)?, sin: rec.upload(&shape, &sin)? })
}

fn angles(head_dim: usize, [frames, rows, cols]: [usize; 3]) -> Vec<f64> {
    let side = 2 * (head_dim / 6);
    let dims = [head_dim - 2 * side, side, side];
    let frequencies = dims.map(|dim| (0..dim / 2).map(|i| THETA.powf(-((2 * i) as f64) / dim as f64)).collect::<Vec<_>>());
    let mut angles = Vec::with_capacity(frames * rows * cols * head_dim / 2);
    for token in 0..frames * rows * cols {
        let place = [token / (rows * cols), token / cols % rows, token % cols];
        for (place, frequencies) in place.into_iter().zip(&frequencies) {
            angles.extend(frequencies.iter().map(|frequency| place as f64 * frequency));
        }
    }
    angles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_split_by_integer_division() {
        // D = 10: six numbers for time, two each for height and width.
        let angles = angles(10, [2, 2, 3]);
        assert_eq!(angles.len(), 12 * 5);
        let last = &angles[11 * 5..];
        assert_eq!(last, [1.0, THETA.powf(-2.0 / 6.0), THETA.powf(-4.0 / 6.0), 1.0, 2.0]);
    }
}
