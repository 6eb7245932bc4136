//! Joining and cutting along the first axis, which are plain copies.

use crate::error::{Error, Result};
use crate::gpu::Recorder;
use crate::tensor::Tensor;

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
