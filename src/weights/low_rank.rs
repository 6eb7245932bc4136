//! Changes of low rank, kept as their factors.

use std::path::Path;

use super::delta::{Delta, DeltaKind, Factor, rows};
use super::stored::Stored;
use crate::error::{Error, Result};

/// What one or several LoRAs add to a matrix [rows, cols]: `up` times the transpose of `down`.
#[derive(Clone, Debug)]
pub struct LowRank {
    /// Of all of them together.
    pub rank: usize,
    /// [rows, rank], with the LoRAs' strengths.
    pub up: Vec<f32>,
    /// [cols, rank]
    pub down: Vec<f32>,
}

/// The elements of a change must stay below this.
const MOST: f64 = 1e30;

impl LowRank {
    /// The rank of the sum of changes, or `None` where one is no product or they together take as much memory as the matrix.
    pub(super) fn rank(deltas: &[Delta], rows: usize, cols: usize) -> Option<usize> {
        let rank = deltas.iter().map(|delta| Some(factors(delta)?.rank)).sum::<Option<usize>>()?;
        (rank.saturating_mul(rows + cols) < rows * cols).then_some(rank)
    }

    /// The sum of changes that are all products.
    ///
    /// # Errors
    /// [`Error::Weights`] where they are too large to be added to anything; [`Error::Io`] where they cannot be read.
    pub(super) fn read(deltas: &[Delta], rows: usize, cols: usize) -> Result<Self> {
        let factors: Vec<_> = deltas.iter().filter_map(factors).collect();
        let rank = factors.iter().map(|factors| factors.rank).sum();
        let mut change = Self { rank, up: vec![0.0; rows * rank], down: vec![0.0; cols * rank] };
        let mut begin = 0;
        for Factors { scale, left, right, rank: own } in &factors {
            let (left, right) = (left.to_f32()?, right.to_f32()?);
            for (to, from) in change.up.chunks_exact_mut(rank).zip(left.chunks_exact(*own)) {
                to[begin..][..*own].iter_mut().zip(from).for_each(|(to, from)| *to = scale * from);
            }
            for (row, from) in right.chunks_exact(cols).enumerate() {
                change.down.iter_mut().skip(begin + row).step_by(rank).zip(from).for_each(|(to, &from)| *to = from);
            }
            begin += own;
        }
        let largest = |values: &[f32]| values.iter().fold(0f64, |most, value| most.max(f64::from(*value).abs()));
        let bound = largest(&change.up) * largest(&change.down) * rank as f64;
        if bound < MOST {
            return Ok(change);
        }
        let file = factors.first().map_or(Path::new(""), |factors| &factors.left.info.file);
        Err(Error::weights(file, format!("its changes are past {MOST:e}: the LoRA is damaged, or its alpha is")))
    }
}

struct Factors<'a> {
    scale: f32,
    left: &'a Stored,
    right: &'a Stored,
    rank: usize,
}

fn factors(delta: &Delta) -> Option<Factors<'_>> {
    match &delta.kind {
        DeltaKind::Plain(Factor::Product(left, right)) if delta.magnitude.is_none() => {
            Some(Factors { scale: delta.scale, left, right, rank: rows(right) })
        }
        _ => None,
    }
}
