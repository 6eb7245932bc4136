//! What a LoRA adds to one tensor.

use super::stored::Stored;
use crate::error::Result;
use crate::linalg::product;

/// A change of a tensor: what it adds, times how strongly.
pub struct Delta {
    pub kind: DeltaKind,
    pub scale: f32,
    pub magnitude: Option<Magnitude>,
}

/// DoRA: the changed tensor is brought to these lengths.
pub struct Magnitude {
    pub lengths: Stored,
    /// Which of them is that of its first row; none where they are those of the places of the second axis.
    pub first_row: Option<usize>,
    /// Of the way to that, how much is gone.
    pub weight: f32,
}

/// How a change is stored.
pub enum DeltaKind {
    Plain(Factor),
    /// LoHa: the product of two, element by element.
    Hadamard(Factor, Factor),
    /// LoKr: the Kronecker product of two.
    Kronecker(Factor, Factor),
}

/// A matrix, whole or as a product of two; extents after the first count as one.
pub enum Factor {
    Whole(Stored),
    Product(Stored, Stored),
}

impl Delta {
    /// Adds it to the values of the tensor that it was made for.
    pub fn add_to(&self, values: &mut [f32]) -> Result<()> {
        let before = if self.magnitude.is_some() { values.to_vec() } else { Vec::new() };
        for (value, delta) in values.iter_mut().zip(self.kind.values()?) {
            *value += self.scale * delta;
        }
        let Some(Magnitude { lengths, first_row, weight }) = &self.magnitude else { return Ok(()) };
        let (rows, all) = (self.kind.size().0, lengths.to_f32()?);
        // So many runs of neighbours have a length in common.
        let (lengths, runs) = first_row.map_or((&all[..], rows * all.len()), |first| (&all[first..][..rows], rows));
        bring_to_lengths(values, lengths, (values.len() / runs.max(1)).max(1));
        values.iter_mut().zip(before).for_each(|(value, before)| *value = before + weight * (*value - before));
        Ok(())
    }
}

/// Scales numbers so that all those of a length have it together: each run of neighbours has the next, and after the last the first again.
fn bring_to_lengths(values: &mut [f32], lengths: &[f32], run: usize) {
    let mut squares = vec![0f64; lengths.len()];
    for (i, run) in values.chunks(run).enumerate() {
        squares[i % lengths.len()] += run.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
    }
    for (i, run) in values.chunks_mut(run).enumerate() {
        let (square, length) = (squares[i % lengths.len()], lengths[i % lengths.len()]);
        let factor = f64::from(length) / square.sqrt().max(f64::from(f32::EPSILON));
        run.iter_mut().for_each(|value| *value = (f64::from(*value) * factor) as f32);
    }
}

impl DeltaKind {
    /// Rows and columns.
    pub fn size(&self) -> (usize, usize) {
        match self {
            Self::Plain(factor) | Self::Hadamard(factor, _) => factor.size(),
            Self::Kronecker(outer, inner) => {
                let ((outer_rows, outer_cols), (rows, cols)) = (outer.size(), inner.size());
                (outer_rows.saturating_mul(rows), outer_cols.saturating_mul(cols))
            }
        }
    }

    /// Whether it has as many rows and columns as a tensor of this shape; where it is stored whole, extents of 1 may be anywhere.
    pub fn fits(&self, shape: &[usize]) -> bool {
        let long = |shape: &[usize]| shape.iter().copied().filter(|&dim| dim != 1).collect::<Vec<_>>();
        match self {
            Self::Plain(Factor::Whole(tensor)) => long(&tensor.info.shape) == long(shape),
            _ => shape.split_first().is_some_and(|(&rows, rest)| self.size() == (rows, rest.iter().product())),
        }
    }

    /// The rank that its strength is divided by: LoKr has one only where a factor is a product, of two the second's.
    pub fn rank(&self) -> Option<usize> {
        match self {
            Self::Plain(factor) | Self::Hadamard(factor, _) => factor.rank(),
            Self::Kronecker(outer, inner) => inner.rank().or(outer.rank()),
        }
    }

    /// Part `part` of `parts` equal ones along the rows, or `None` where it has no such parts.
    pub fn part(&self, part: usize, parts: usize) -> Option<Self> {
        Some(match self {
            Self::Plain(factor) => Self::Plain(factor.part(part, parts)?),
            Self::Hadamard(a, b) => Self::Hadamard(a.part(part, parts)?, b.part(part, parts)?),
            Self::Kronecker(outer, inner) => Self::Kronecker(outer.part(part, parts)?, inner.part(0, 1)?),
        })
    }

    fn values(&self) -> Result<Vec<f32>> {
        match self {
            Self::Plain(factor) => factor.values(),
            Self::Hadamard(a, b) => {
                let mut values = a.values()?;
                values.iter_mut().zip(b.values()?).for_each(|(value, b)| *value *= b);
                Ok(values)
            }
            Self::Kronecker(outer, inner) => Ok(kronecker(&outer.values()?, outer.size().1, &inner.values()?, inner.size().1)),
        }
    }
}

impl Factor {
    /// Rows and columns.
    pub fn size(&self) -> (usize, usize) {
        match self {
            Self::Whole(tensor) => (rows(tensor), cols(tensor)),
            Self::Product(left, right) => (rows(left), cols(right)),
        }
    }

    /// The extent that a product's factors share.
    fn rank(&self) -> Option<usize> {
        match self {
            Self::Whole(_) => None,
            Self::Product(_, right) => Some(rows(right)),
        }
    }

    fn part(&self, part: usize, parts: usize) -> Option<Self> {
        Some(match self {
            Self::Whole(tensor) => Self::Whole(tensor.part(part, parts)?),
            Self::Product(left, right) => Self::Product(left.part(part, parts)?, right.part(0, 1)?),
        })
    }

    fn values(&self) -> Result<Vec<f32>> {
        match self {
            Self::Whole(tensor) => tensor.to_f32(),
            Self::Product(left, right) => Ok(product(&left.to_f32()?, &right.to_f32()?, rows(right))),
        }
    }
}

/// The first extent; 1 where there is none.
pub fn rows(tensor: &Stored) -> usize {
    tensor.info.shape.first().copied().unwrap_or(1)
}

/// All extents after the first.
pub fn cols(tensor: &Stored) -> usize {
    tensor.info.shape.iter().skip(1).fold(1, |product, &dim| product.saturating_mul(dim))
}

/// Every element of `outer` times all of `inner`.
fn kronecker(outer: &[f32], outer_cols: usize, inner: &[f32], inner_cols: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(outer.len() * inner.len());
    for outer in outer.chunks_exact(outer_cols.max(1)) {
        for inner in inner.chunks_exact(inner_cols.max(1)) {
            values.extend(outer.iter().flat_map(|a| inner.iter().map(move |b| a * b)));
        }
    }
    values
}
