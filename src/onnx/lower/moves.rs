//! Other shapes, orders and parts.

use super::laid::Laid;
use super::run::Run;
use super::weights::Weights;
use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::Recorder;
use crate::onnx::node::Node;
use crate::ops::strided::{View, strided};
use crate::ops::walk::AXES;

pub(super) fn lower(run: &Run, rec: &mut Recorder, node: &Node, _: &Weights) -> Result<Option<Vec<Laid>>> {
    let Some(value) = node.input(0).filter(|&value| run.shape(value).is_some()) else { return Ok(None) };
    let outline = |number: usize| node.outputs.get(number).copied().flatten().and_then(|value| run.graph.outline(value));
    let shapes: Option<Vec<_>> = (0..node.outputs.len()).map(|number| outline(number).map(|outline| outline.shape.clone())).collect();
    let Some(shapes) = shapes.filter(|shapes| shapes.iter().all(|shape| !shape.contains(&0))) else { return Ok(None) };
    match node.op.as_str() {
        "Identity" => Ok(Some(vec![run.gpu(rec, value)?])),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {
            let x = run.gpu(rec, value)?;
            let reshaped = match x.reshaped(&shapes[0]) {
                Some(reshaped) => reshaped,
                None => Laid::plain(x.plainly(rec)?.reshape(&shapes[0])),
            };
            Ok(Some(vec![reshaped]))
        }
        "Transpose" => {
            let x = run.gpu(rec, value)?;
            let rank = x.order.len();
            let turned =
                node.ints("perm").ok().flatten().map(|perm| perm.iter().map(|&axis| axis.rem_euclid(rank as i64) as usize).collect());
            let turned: Vec<usize> = turned.unwrap_or_else(|| (0..rank).rev().collect());
            let order = x.order.iter().map(|axis| turned.iter().position(|own| own == axis).unwrap_or(0)).collect();
            Ok(Some(vec![Laid { tensor: x.tensor, order }]))
        }
        "Concat" => concat(run, rec, node, &shapes[0]),
        "Split" => split(run, rec, (node, value), &shapes),
        "Slice" | "Gather" | "Expand" => {
            let Some(x) = part(run, rec, (node, value), &shapes[0])? else { return Ok(None) };
            Ok(Some(vec![x]))
        }
        "DepthToSpace" => depth_to_space(run, rec, (node, value), &shapes[0]),
        "Pad" => pad(run, rec, (node, value), &shapes[0]),
        _ => Ok(None),
    }
}

/// An empty tensor for a value of this shape that lies as another does.
fn alike(rec: &mut Recorder, shape: &[usize], order: &[usize]) -> Result<Laid> {
    let physical: Vec<_> = order.iter().map(|&axis| shape[axis]).collect();
    Ok(Laid { tensor: rec.alloc(&physical, DType::F32)?, order: order.to_vec() })
}

fn axis_of(node: &Node, rank: usize) -> usize {
    node.int_or("axis", 0).unwrap_or(0).rem_euclid(rank.max(1) as i64) as usize
}

fn concat(run: &Run, rec: &mut Recorder, node: &Node, shape: &[usize]) -> Result<Option<Vec<Laid>>> {
    let axis = axis_of(node, shape.len());
    let parts = node.inputs.iter().flatten().map(|&value| run.gpu(rec, value)).collect::<Result<Vec<_>>>()?;
    let out = alike(rec, shape, &parts[0].order)?;
    let steps = out.strides();
    let mut begin = 0;
    for part in parts {
        let own = part.shape();
        let to = View { offset: begin * steps[axis] as usize, strides: steps.clone() };
        strided(rec, &own, (&part.tensor, &View { offset: 0, strides: part.strides() }), (&out.tensor, &to))?;
        begin += own[axis];
    }
    Ok(Some(vec![out]))
}

fn split(run: &Run, rec: &mut Recorder, (node, value): (&Node, usize), shapes: &[Vec<usize>]) -> Result<Option<Vec<Laid>>> {
    let x = run.gpu(rec, value)?;
    let (axis, steps) = (axis_of(node, x.order.len()), x.strides());
    let mut begin = 0;
    let part = |shape: &Vec<usize>| {
        let out = alike(rec, shape, &x.order)?;
        let from = View { offset: begin * steps[axis] as usize, strides: steps.clone() };
        strided(rec, shape, (&x.tensor, &from), (&out.tensor, &View { offset: 0, strides: out.strides() }))?;
        begin += shape[axis];
        Ok(out)
    };
    shapes.iter().map(part).collect::<Result<Vec<_>>>().map(Some)
}

/// Elements of a tensor that lie evenly: the first, and how far apart they are along each axis of the result.
fn part(run: &Run, rec: &mut Recorder, (node, value): (&Node, usize), shape: &[usize]) -> Result<Option<Laid>> {
    let x = run.gpu(rec, value)?;
    let view = match node.op.as_str() {
        "Slice" => slice(run, rec, node, &x)?,
        "Gather" => gather(run, rec, node, &x)?,
        _ => Some(expand(&x, shape)),
    };
    let Some(view) = view.filter(|view| view.strides.len() == shape.len()) else { return Ok(None) };
    let order = match x.order.len().checked_sub(shape.len()) {
        // Where the axes are the same, in the same order.
        Some(0) => x.order.clone(),
        Some(1) if node.op == "Gather" => x.without(axis_of(node, x.order.len())),
        _ => (0..shape.len()).collect(),
    };
    let out = alike(rec, shape, &order)?;
    strided(rec, shape, (&x.tensor, &view), (&out.tensor, &View { offset: 0, strides: out.strides() }))?;
    Ok(Some(out))
}

/// The whole numbers of an input, or of the attribute that older versions have instead.
fn ints(run: &Run, rec: &mut Recorder, node: &Node, number: usize, attribute: &str) -> Result<Option<Vec<i64>>> {
    match node.input(number) {
        Some(value) => Ok(run.host(rec, value)?.i64().map(<[i64]>::to_vec)),
        None => Ok(node.ints(attribute).ok().flatten().map(<[i64]>::to_vec)),
    }
}

fn slice(run: &Run, rec: &mut Recorder, node: &Node, x: &Laid) -> Result<Option<View>> {
    let (shape, mut strides, mut offset) = (x.shape(), x.strides(), 0);
    let Some(starts) = ints(run, rec, node, 1, "starts")? else { return Ok(None) };
    let axes = ints(run, rec, node, 3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = ints(run, rec, node, 4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    for ((&start, &axis), &step) in starts.iter().zip(&axes).zip(&steps) {
        let axis = axis.rem_euclid(shape.len() as i64) as usize;
        let extent = shape[axis] as i64;
        let begin = if start < 0 { start.saturating_add(extent) } else { start }.clamp(0, extent - 1);
        offset += begin as isize * strides[axis];
        // A step beyond the end is taken by nobody.
        strides[axis] *= step.clamp(-extent, extent) as isize;
    }
    Ok(Some(View { offset: offset as usize, strides }))
}

/// One index, or indices that are evenly apart.
fn gather(run: &Run, rec: &mut Recorder, node: &Node, x: &Laid) -> Result<Option<View>> {
    let Some(value) = node.input(1).filter(|value| run.graph.constants.contains_key(value)) else { return Ok(None) };
    let indices = run.host(rec, value)?;
    let (axis, extent) = (axis_of(node, x.order.len()), x.shape()[axis_of(node, x.order.len())] as i64);
    let places: Vec<i64> = indices.i64().unwrap_or_default().iter().map(|&index| if index < 0 { index + extent } else { index }).collect();
    let step = if let [first, second, ..] = places[..] { second - first } else { 0 };
    let is_even = places.windows(2).all(|pair| pair[1] - pair[0] == step) && places.iter().all(|place| (0..extent).contains(place));
    if !is_even || places.is_empty() || indices.shape().len() > 1 {
        return Ok(None);
    }
    let mut strides = x.strides();
    let offset = places[0] as usize * strides[axis] as usize;
    match indices.shape() {
        [] => drop(strides.remove(axis)),
        _ => strides[axis] *= step as isize,
    }
    Ok(Some(View { offset, strides }))
}

fn expand(x: &Laid, shape: &[usize]) -> View {
    let (own, strides) = (x.shape(), x.strides());
    let lead = shape.len().saturating_sub(own.len());
    let stride = |axis: usize| axis.checked_sub(lead).filter(|&at| own[at] == shape[axis]).map_or(0, |at| strides[at]);
    View { offset: 0, strides: (0..shape.len()).map(stride).collect() }
}

/// One number around a tensor.
fn pad(run: &Run, rec: &mut Recorder, (node, value): (&Node, usize), shape: &[usize]) -> Result<Option<Vec<Laid>>> {
    let x = run.gpu(rec, value)?;
    let fill = match node.input(2) {
        Some(fill) => run.host(rec, fill)?.f32().and_then(|fill| fill.first().copied()),
        None => Some(node.float_or("value", 0.0).unwrap_or(0.0)),
    };
    let pads = ints(run, rec, node, 1, "pads")?.filter(|pads| pads.len() == 2 * shape.len() && pads.iter().all(|&pad| pad >= 0));
    let is_constant = node.text_or("mode", "constant").is_ok_and(|mode| mode == "constant") && node.input(3).is_none();
    let (Some(fill), Some(pads), true) = (fill, pads, is_constant) else { return Ok(None) };
    let out = alike(rec, shape, &x.order)?;
    let steps = out.strides();
    surround(rec, &out, &pads, fill)?;
    let offset = pads.iter().zip(&steps).map(|(&pad, &step)| pad as usize * step as usize).sum();
    strided(rec, &x.shape(), (&x.tensor, &View { offset: 0, strides: x.strides() }), (&out.tensor, &View { offset, strides: steps }))?;
    Ok(Some(vec![out]))
}

/// Writes a number to what is before and behind the inner part of each axis.
fn surround(rec: &mut Recorder, out: &Laid, pads: &[i64], fill: f32) -> Result<()> {
    let (shape, steps) = (out.shape(), out.strides());
    // In fours where they lie together.
    let four = rec.upload(&[4], &[fill; 4])?;
    let sides = (0..pads.len()).map(|side| (side % shape.len(), side < shape.len(), pads[side] as usize));
    for (axis, is_before, width) in sides.filter(|(_, _, width)| *width > 0) {
        let (mut extents, mut strides) = (shape.clone(), steps.clone());
        extents[axis] = width;
        let offset = if is_before { 0 } else { (shape[axis] - width) * steps[axis] as usize };
        let mut read = vec![0; shape.len()];
        if let Some(last) = (0..shape.len().min(AXES - 1)).find(|&last| strides[last] == 1 && extents[last] % 4 == 0) {
            extents[last] /= 4;
            strides[last] = 4;
            extents.push(4);
            strides.push(1);
            read.push(1);
        }
        strided(rec, &extents, (&four, &View { offset: 0, strides: read }), (&out.tensor, &View { offset, strides }))?;
    }
    Ok(())
}

/// Channels become blocks of an image.
fn depth_to_space(run: &Run, rec: &mut Recorder, (node, value): (&Node, usize), shape: &[usize]) -> Result<Option<Vec<Laid>>> {
    let x = run.gpu(rec, value)?;
    let (strides, size) = (x.strides(), node.int_or("blocksize", 1).unwrap_or(1) as usize);
    let &[n, c, h, w] = shape else { return Ok(None) };
    // How far apart the rows of a block, its columns, and the channels that are left lie.
    let [down, across, channel] = match node.text_or("mode", "DCR") {
        Ok("DCR") => [size * c, c, 1],
        _ => [size, 1, size * size],
    };
    let step = |channels: usize| strides[1] * channels as isize;
    let from = View { offset: 0, strides: vec![strides[0], step(channel), strides[2], step(down), strides[3], step(across)] };
    let out = rec.alloc(shape, DType::F32)?;
    let blocks = [n, c, h / size, size, w / size, size];
    let to = View { offset: 0, strides: crate::ops::walk::strides(&blocks) };
    strided(rec, &blocks, (&x.tensor, &from), (&out, &to))?;
    Ok(Some(vec![Laid::plain(out)]))
}
