//! Joining and cutting along the first two axes, which are plain copies.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};

/// The tensors after one another along the first axis; all other axes and the element type must agree.
pub fn concat(rec: &mut Recorder, parts: &[&Tensor]) -> Result<Tensor> {
    let Some(first) = parts.first().filter(|first| !first.shape().is_empty()) else {
        return Err(Error::Input("a concatenation of nothing".into()));
    };
    if let Some(other) = parts.iter().find(|part| part.shape().get(1..) != first.shape().get(1..) || part.dtype() != first.dtype()) {
        return Err(Error::Input(format!("a concatenation of shapes {:?} and {:?}", first.shape(), other.shape())));
    }
    let mut shape = first.shape().to_vec();
    shape[0] = parts.iter().map(|part| part.shape()[0]).sum();
    let out = rec.alloc(&shape, first.dtype())?;
    let mut to = 0;
    for part in parts {
        rec.copy(part, 0, &out, to, part.len())?;
        to += part.len();
    }
    Ok(out)
}

/// Entries `from..from + count` of the first axis.
pub fn slice(rec: &mut Recorder, x: &Tensor, from: usize, count: usize) -> Result<Tensor> {
    let mut shape = x.shape().to_vec();
    let Some(entries) = shape.first().copied().filter(|&entries| from <= entries && count <= entries - from) else {
        return Err(Error::Input(format!("{count} entries from {from} on of shape {shape:?}")));
    };
    let row = x.len() / entries.max(1);
    shape[0] = count;
    let out = rec.alloc(&shape, x.dtype())?;
    rec.copy(x, from * row, &out, 0, count * row)?;
    Ok(out)
}

/// Entries of the second axis of each tensor, after one another along that axis; all other axes and the element type must agree.
pub fn join_inner(rec: &mut Recorder, parts: &[(&Tensor, Range<usize>)]) -> Result<Tensor> {
    let outline = |x: &Tensor| (x.shape().first().copied(), x.shape().get(2..).map(<[usize]>::to_vec), x.dtype());
    let first = parts.first().map(|part| part.0).filter(|first| first.shape().len() > 1);
    let Some(first) = first else { return Err(Error::Input("a concatenation of nothing along the second axis".into())) };
    if let Some((x, range)) =
        parts.iter().find(|(x, range)| outline(x) != outline(first) || range.start > range.end || range.end > x.shape()[1])
    {
        return Err(Error::Input(format!("a concatenation of shapes {:?} and {:?}, of which {range:?}", first.shape(), x.shape())));
    }
    let row: usize = first.shape()[2..].iter().product();
    let mut shape = first.shape().to_vec();
    shape[1] = parts.iter().map(|(_, range)| range.len()).sum();
    let out = rec.alloc(&shape, first.dtype())?;
    for outer in 0..shape[0] {
        let mut to = outer * shape[1] * row;
        for (x, range) in parts {
            rec.copy(x, (outer * x.shape()[1] + range.start) * row, &out, to, range.len() * row)?;
            to += range.len() * row;
        }
    }
    Ok(out)
}
