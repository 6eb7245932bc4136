//! Changes of low rank, kept as their factors.

use super::super::stored::Tensor;
use super::delta::{Delta, Factor, Kind, rows};

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

/// Past this size of its elements a change is merged with all the care that overflow needs.
const MOST: f64 = 1e30;

impl LowRank {
    /// The sum of changes, or `None` where one is no product or they together take as much memory as the matrix. Zeros where they are not to
    /// be `read`.
    pub(in super::super) fn of(deltas: &[Delta], rows: usize, cols: usize, read: bool) -> Option<Self> {
        let factors: Vec<_> = deltas.iter().map(factors).collect::<Option<_>>()?;
        let rank: usize = factors.iter().map(|factors| factors.rank).sum();
        if rank.saturating_mul(rows + cols) >= rows * cols {
            return None;
        }
        let mut change = Self { rank, up: vec![0.0; rows * rank], down: vec![0.0; cols * rank] };
        if !read {
            return Some(change);
        }
        let mut begin = 0;
        for Factors { scale, left, right, rank: own } in factors {
            let (left, right) = (left.to_f32(), right.to_f32());
            for (to, from) in change.up.chunks_exact_mut(rank).zip(left.chunks_exact(own)) {
                to[begin..][..own].iter_mut().zip(from).for_each(|(to, from)| *to = scale * from);
            }
            for (row, from) in right.chunks_exact(cols).enumerate() {
                change.down.iter_mut().skip(begin + row).step_by(rank).zip(from).for_each(|(to, &from)| *to = from);
            }
            begin += own;
        }
        let largest = |values: &[f32]| values.iter().fold(0f64, |most, &value| most.max(f64::from(value).abs()));
        let bound = largest(&change.up) * largest(&change.down) * rank as f64;
        (bound < MOST).then_some(change)
    }
}

struct Factors<'a> {
    scale: f32,
    left: &'a Tensor,
    right: &'a Tensor,
    rank: usize,
}

fn factors(delta: &Delta) -> Option<Factors<'_>> {
    match &delta.kind {
        Kind::Plain(Factor::Product(left, right)) => Some(Factors { scale: delta.scale, left, right, rank: rows(right) }),
        _ => None,
    }
}
