//! Other shapes, orders and parts.

use super::Run;
use super::laid::Laid;
use super::weights::Weights;
use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::Recorder;
use crate::onnx::node::Node;
use crate::ops::strided::{View, strided};

pub(super) fn lower(run: &Run, rec: &mut Recorder, node: &Node, _: &Weights) -> Result<Option<Vec<Laid>>> {
    let Some(value) = node.input(0).filter(|&value| run.shape(value).is_some()) else { return Ok(None) };
    let outline = |number: usize| node.outputs.get(number).copied().flatten().and_then(|value| run.network.graph.outline(value));
    let shapes: Option<Vec<_>> = (0..node.outputs.len()).map(|number| outline(number).map(|outline| outline.shape.clone())).collect();
    let Some(shapes) = shapes.filter(|shapes| shapes.iter().all(|shape| !shape.contains(&0))) else { return Ok(None) };
    match node.op.as_str() {
        "Identity" => Ok(Some(vec![run.gpu(rec, value)?])),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {
            let x = run.gpu(rec, value)?;
            // Where axes of one element come or go, the others may stay as they lie.
            let tensor = x.plainly(rec)?.reshape(&shapes[0]);
            Ok(Some(vec![Laid::plain(tensor)]))
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
