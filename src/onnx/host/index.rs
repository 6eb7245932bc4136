//! Operators that pick elements by index, or put them there.

use super::elements::OfTwo;
use crate::onnx::call::{Call, Fact, Output, Outputs};
use crate::onnx::fault::{Fault, unsupported, wrong};
use crate::onnx::strided::{Places, strides};
use crate::onnx::value::Data;

/// An index that may be counted from the end.
fn place(index: i64, extent: usize) -> Result<usize, Fault> {
    let from_front = if index < 0 { index.saturating_add(extent as i64) } else { index };
    let found = usize::try_from(from_front).ok().filter(|&index| index < extent);
    found.map_or_else(|| wrong(format!("it asks for the element {index} of {extent}")), Ok)
}

/// Slices along an axis.
pub(super) fn gather<'a>(call: &Call<'a>) -> Outputs<'a> {
    let (x, indices) = (call.input(0)?, call.input(1)?);
    let axis = x.axis(call.node.int_or("axis", 0)?)?;
    let shape = [&x.shape[..axis], indices.shape, &x.shape[axis + 1..]].concat();
    let (outer, extent, inner) = x.around(axis);
    Output::only(shape, x.kind, move || {
        let indices = indices.i64()?.iter().map(|&index| place(index, extent)).collect::<Result<Vec<_>, _>>()?;
        let slices = (0..outer).flat_map(|outer| indices.iter().map(move |index| (outer * extent + index) * inner));
        Ok(x.data()?.pick(slices.flat_map(|begin| begin..begin + inner)))
    })
}

/// For each element of `indices`, the place in a tensor that has the same index but along an axis.
fn along_axis(x: Fact, indices: Fact, axis: usize) -> Result<Vec<usize>, Fault> {
    let strides = strides(x.shape);
    let lines: Vec<_> = (0..x.rank()).map(|at| if at == axis { 0 } else { strides[at] }).collect();
    let starts = Places::new(indices.shape, &lines, 0);
    let indices = indices.i64()?.iter().map(|&index| place(index, x.shape[axis]));
    starts.zip(indices).map(|(start, index)| Ok(start + index? * strides[axis] as usize)).collect()
}

fn fits_along_axis(x: Fact, indices: Fact, axis: usize) -> bool {
    indices.rank() == x.rank() && (0..x.rank()).all(|at| at == axis || indices.shape[at] <= x.shape[at])
}

/// Elements one by one along an axis.
pub(super) fn gather_elements<'a>(call: &Call<'a>) -> Outputs<'a> {
    let (x, indices) = (call.input(0)?, call.input(1)?);
    let axis = x.axis(call.node.int_or("axis", 0)?)?;
    if !fits_along_axis(x, indices, axis) {
        return wrong(format!("its indices of shape {:?} do not fit its input of shape {:?}", indices.shape, x.shape));
    }
    Output::only(indices.shape.to_vec(), x.kind, move || Ok(x.data()?.pick(along_axis(x, indices, axis)?.into_iter())))
}

/// The first axes of a tensor, indexed by the last axis of `indices`.
fn tuples<'a>(x: Fact<'a>, indices: Fact<'a>, batch: usize) -> Result<(usize, usize), Fault> {
    let depth = indices.shape.last().copied().unwrap_or(0);
    if indices.rank() == 0 || batch >= indices.rank() || batch + depth > x.rank() || x.shape[..batch] != indices.shape[..batch] {
        return wrong(format!("its indices of shape {:?} do not fit its input of shape {:?}", indices.shape, x.shape));
    }
    Ok((depth, x.shape[batch + depth..].iter().product()))
}

/// Where the slices begin that `indices` name.
fn slices(x: Fact, indices: Fact, batch: usize, depth: usize) -> Result<Vec<usize>, Fault> {
    let (strides, batches) = (strides(x.shape), x.shape[..batch].iter().product::<usize>());
    let count = indices.shape[..indices.rank() - 1].iter().product::<usize>();
    let size: usize = x.shape[batch..].iter().product();
    let ints = indices.i64()?;
    let slice = |number: usize| {
        let axes = ints[number * depth..][..depth].iter().zip(&x.shape[batch..]).zip(&strides[batch..]);
        let begin = axes.map(|((&index, &extent), &stride)| Ok(place(index, extent)? * stride as usize)).sum::<Result<usize, Fault>>()?;
        Ok(number / (count / batches.max(1)).max(1) * size + begin)
    };
    (0..count).map(slice).collect()
}

/// Slices of the last axes.
pub(super) fn gather_nd<'a>(call: &Call<'a>) -> Outputs<'a> {
    let (x, indices) = (call.input(0)?, call.input(1)?);
    let batch = usize::try_from(call.node.int_or("batch_dims", 0)?).or_else(|_| wrong("its batch_dims are below 0"))?;
    let (depth, inner) = tuples(x, indices, batch)?;
    let shape = [&indices.shape[..indices.rank() - 1], &x.shape[batch + depth..]].concat();
    Output::only(shape, x.kind, move || {
        let begins = slices(x, indices, batch, depth)?;
        Ok(x.data()?.pick(begins.into_iter().flat_map(|begin| begin..begin + inner)))
    })
}

/// What becomes of an element that another is put upon.
fn scatter(reduction: &str, mut to: Data, from: &Data, places: impl Iterator<Item = (usize, usize)>) -> Result<Data, Fault> {
    let (float, int): OfTwo = match reduction {
        "none" => {
            to.put(from, places)?;
            return Ok(to);
        }
        "add" => (|a, b| a + b, i64::wrapping_add),
        "mul" => (|a, b| a * b, i64::wrapping_mul),
        "max" => (f32::max, |a, b| a.max(b)),
        "min" => (f32::min, |a, b| a.min(b)),
        other => return unsupported(format!("its reduction `{other}` is not supported")),
    };
    match (&mut to, from) {
        (Data::F32(to), Data::F32(from)) => places.for_each(|(place, other)| to[place] = float(to[place], from[other])),
        (Data::I64(to), Data::I64(from)) => places.for_each(|(place, other)| to[place] = int(to[place], from[other])),
        (to, from) => return wrong(format!("it puts {:?} into {:?}", from.kind(), to.kind())),
    }
    Ok(to)
}

/// A tensor with some elements replaced, one by one along an axis.
pub(super) fn scatter_elements<'a>(call: &Call<'a>) -> Outputs<'a> {
    let (x, indices, updates) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let axis = x.axis(call.node.int_or("axis", 0)?)?;
    let reduction = call.node.text_or("reduction", "none")?;
    if !fits_along_axis(x, indices, axis) || updates.shape != indices.shape {
        return wrong(format!("its indices and updates of shapes {:?} and {:?} do not fit {:?}", indices.shape, updates.shape, x.shape));
    }
    Output::only(x.shape.to_vec(), x.kind, move || {
        let places = along_axis(x, indices, axis)?.into_iter().enumerate().map(|(number, place)| (place, number));
        scatter(reduction, x.data()?.clone(), updates.data()?, places)
    })
}

/// A tensor with some slices of the last axes replaced.
pub(super) fn scatter_nd<'a>(call: &Call<'a>) -> Outputs<'a> {
    let (x, indices, updates) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let reduction = call.node.text_or("reduction", "none")?;
    let (depth, inner) = tuples(x, indices, 0)?;
    let expected = [&indices.shape[..indices.rank() - 1], &x.shape[depth..]].concat();
    if updates.shape != expected {
        return wrong(format!("its updates have the shape {:?}, not {expected:?}", updates.shape));
    }
    Output::only(x.shape.to_vec(), x.kind, move || {
        let begins = slices(x, indices, 0, depth)?;
        let places = begins.iter().enumerate().flat_map(|(number, &begin)| (0..inner).map(move |at| (begin + at, number * inner + at)));
        scatter(reduction, x.data()?.clone(), updates.data()?, places)
    })
}
