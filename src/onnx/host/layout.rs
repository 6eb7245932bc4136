//! Operators that give the same elements another shape or order.

use crate::onnx::call::{Call, Fact, Output, Outputs, axes_of};
use crate::onnx::fault::{Fault, wrong};
use crate::onnx::strided::Places;

/// The same elements in another shape of as many.
fn reshaped<'a>(x: Fact<'a>, shape: Vec<usize>) -> Outputs<'a> {
    if shape.iter().try_fold(1usize, |count, &extent| count.checked_mul(extent)) != Some(x.count()) {
        return wrong(format!("its input of shape {:?} does not fit the shape {shape:?}", x.shape));
    }
    Output::only(shape, x.kind, move || x.data().cloned())
}

/// The input as it is.
pub(super) fn identity<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    reshaped(x, x.shape.to_vec())
}

/// A shape in which 0 stands for the input's extent and -1 for what is left.
pub(super) fn reshape<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    let Some(wanted) = call.ints_of("shape", 1)? else { return wrong("it has no shape") };
    let zero_copies = !call.node.flag("allowzero", false)?;
    let extent = |(axis, &extent): (usize, &i64)| match extent {
        0 if zero_copies => x.shape.get(axis).copied().map_or_else(|| wrong("it copies an extent that its input has not"), Ok),
        -1 => Ok(1),
        extent => usize::try_from(extent).or_else(|_| wrong(format!("it makes the shape {wanted:?}"))),
    };
    let mut shape = wanted.iter().enumerate().map(extent).collect::<Result<Vec<_>, _>>()?;
    if let Some(axis) = wanted.iter().position(|&extent| extent == -1) {
        let others = shape.iter().try_fold(1usize, |count, &extent| count.checked_mul(extent));
        shape[axis] = others.and_then(|others| x.count().checked_div(others)).unwrap_or(0);
    }
    reshaped(x, shape)
}

/// All axes before one as one, and all from it on.
pub(super) fn flatten<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    // One past the last axis is one too.
    let axis = match call.node.int_or("axis", 1)? {
        axis if axis == x.rank() as i64 => x.rank(),
        axis => x.axis(axis)?,
    };
    reshaped(x, vec![x.shape[..axis].iter().product(), x.shape[axis..].iter().product()])
}

/// Without axes of one element.
pub(super) fn squeeze<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    let axes = match call.ints_of("axes", 1)? {
        Some(axes) => axes_of(axes, x.rank())?,
        None => (0..x.rank()).filter(|&axis| x.shape[axis] == 1).collect(),
    };
    reshaped(x, (0..x.rank()).filter(|axis| !axes.contains(axis)).map(|axis| x.shape[axis]).collect())
}

/// With further axes of one element.
pub(super) fn unsqueeze<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    let Some(axes) = call.ints_of("axes", 1)? else { return wrong("it has no axes") };
    let rank = x.rank() + axes.len();
    let axes = axes_of(axes, rank)?;
    let mut own = x.shape.iter();
    reshaped(x, (0..rank).map(|axis| if axes.contains(&axis) { 1 } else { own.next().copied().unwrap_or(1) }).collect())
}

/// The axes in another order, by default reversed.
pub(super) fn transpose<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    let order = match call.node.ints("perm")? {
        Some(order) => order.iter().map(|&axis| x.axis(axis)).collect::<Result<Vec<_>, _>>()?,
        None => (0..x.rank()).rev().collect(),
    };
    permuted(x, &order, None)
}

/// The axes of a tensor in another order, and then perhaps in another shape.
fn permuted<'a>(x: Fact<'a>, order: &[usize], shape: Option<Vec<usize>>) -> Outputs<'a> {
    let mut sorted = order.to_vec();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..x.rank()) {
        return wrong(format!("{order:?} is no order of {} axes", x.rank()));
    }
    let shape = shape.unwrap_or_else(|| order.iter().map(|&axis| x.shape[axis]).collect());
    let order = order.to_vec();
    Output::moved(x, shape, move || Places::permuted(x.shape, &order))
}

/// An image with its channels and the square blocks among them.
fn image(call: &Call, x: Fact) -> Result<([usize; 4], usize), Fault> {
    let block = call.node.int_or("blocksize", 0)?;
    let block = usize::try_from(block).ok().filter(|&block| (1..1 << 16).contains(&block));
    match (<[usize; 4]>::try_from(x.shape), block) {
        (Ok(shape), Some(block)) => Ok((shape, block)),
        _ => wrong(format!("its input has the shape {:?} and its blocksize is {block:?}", x.shape)),
    }
}

/// Channels become blocks of an image.
pub(super) fn depth_to_space<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    let ([n, c, h, w], block) = image(call, x)?;
    if c % (block * block) != 0 {
        return wrong(format!("its {c} channels are no whole blocks of {block}x{block}"));
    }
    let c = c / (block * block);
    let (axes, order) = match call.node.text_or("mode", "DCR")? {
        "DCR" => ([n, block, block, c, h, w], [0, 3, 4, 1, 5, 2]),
        "CRD" => ([n, c, block, block, h, w], [0, 1, 4, 2, 5, 3]),
        other => return wrong(format!("there is no mode `{other}`")),
    };
    Output::moved(x, vec![n, c, h * block, w * block], move || Places::permuted(&axes, &order))
}

/// Blocks of an image become channels.
pub(super) fn space_to_depth<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    let ([n, c, h, w], block) = image(call, x)?;
    if h % block != 0 || w % block != 0 {
        return wrong(format!("its image of {w}x{h} is no whole blocks of {block}x{block}"));
    }
    let (axes, order) = match call.node.text_or("mode", "DCR")? {
        "DCR" => ([n, c, h / block, block, w / block, block], [0, 3, 5, 1, 2, 4]),
        "CRD" => ([n, c, h / block, block, w / block, block], [0, 1, 3, 5, 2, 4]),
        other => return wrong(format!("there is no mode `{other}`")),
    };
    Output::moved(x, vec![n, c * block * block, h / block, w / block], move || Places::permuted(&axes, &order))
}
