//! Modulation by time: what norms are scaled and shifted by, and layers gated, as each token's timestep says.

use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::ops::lincomb::add;

/// A layer's own vectors `[C]` plus those of a timestep.
pub fn modulation<const N: usize>(rec: &mut Recorder, own: &[Tensor; N], time: [&Tensor; N]) -> Result<[Tensor; N]> {
    let mut vectors = own.clone();
    for (vector, time) in vectors.iter_mut().zip(time) {
        *vector = add(rec, vector, time)?;
    }
    Ok(vectors)
}
