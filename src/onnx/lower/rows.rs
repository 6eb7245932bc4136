//! Products with matrices, norms, softmax and reductions along the last axis, attention.

use super::following::activation;
use super::laid::Laid;
use super::run::Run;
use super::weights::Weights;
use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::Recorder;
use crate::gpu::Tensor;
use crate::onnx::node::{Node, RESIDUAL};
use crate::ops::attention::{Heads, attention};
use crate::ops::epilogue::Epilogue;
use crate::ops::layer_norm::{Affine, layer_norm};
use crate::ops::matmul::matmul;
use crate::ops::rows::{Reduction, reduce, softmax};
use crate::ops::strided::{View, strided};

pub(super) fn lower(run: &Run, rec: &mut Recorder, node: &Node, weights: &Weights) -> Result<Option<Vec<Laid>>> {
    let Some((value, shape)) = node.input(0).and_then(|value| Some((value, run.shape(value)?))) else { return Ok(None) };
    let Some((&width, outer)) = shape.split_last() else { return Ok(None) };
    let is_last = |axis: i64| axis == -1 || axis == outer.len() as i64;
    let matrix =
        |rec: &mut Recorder| -> Result<Tensor> { Ok(run.gpu(rec, value)?.plainly(rec)?.reshape(&[outer.iter().product(), width])) };
    let made = match (weights, node.op.as_str()) {
        (Weights::Linear { weight, bias }, _) if weight.cols() == width => {
            let (x, made) = (matrix(rec)?, [outer, &[weight.rows()]].concat());
            let residual = node.input(RESIDUAL).map(|value| run.gpu(rec, value)?.plainly(rec)).transpose()?;
            let residual = residual.map(|residual| residual.reshape(&[x.rows(), weight.rows()]));
            let epilogue =
                Epilogue { bias: bias.as_ref(), activation: activation(node), residual: residual.as_ref(), ..Epilogue::default() };
            matmul(rec, &x, weight, epilogue, DType::F32)?.reshape(&made)
        }
        (_, "Softmax") if is_last(softmax_axis(run, node)) => {
            let x = matrix(rec)?;
            softmax(rec, &x)?.reshape(&shape)
        }
        (_, "LayerNormalization") if is_last(node.int_or("axis", -1).unwrap_or(0)) && node.outputs.len() == 1 => {
            let (Some(scale), Some(bias)) = (vector(run, rec, node, 1, width)?, vector(run, rec, node, 2, width)?) else { return Ok(None) };
            let (x, epsilon) = (matrix(rec)?, node.float_or("epsilon", 1e-5).unwrap_or(1e-5));
            layer_norm(rec, &x, Affine::Weights(&scale, &bias), epsilon, DType::F32)?.reshape(&shape)
        }
        (_, "ScaledDotProduct") => return attend(run, rec, node, &shape),
        (_, op) => {
            let (Some(reduction), Some(keeps)) = (reduction(op), reduces_last(run, rec, node, outer.len())?) else { return Ok(None) };
            let x = matrix(rec)?;
            let kept = if keeps { &[1][..] } else { &[] };
            reduce(rec, &x, reduction)?.reshape(&[outer, kept].concat())
        }
    };
    Ok(Some(vec![Laid::plain(made)]))
}

fn softmax_axis(run: &Run, node: &Node) -> i64 {
    // Before version 13 all axes from this one on are one, which is the last alone where it is the last.
    let default = if run.graph.opset >= 13 { -1 } else { 1 };
    node.int_or("axis", default).unwrap_or(0)
}

fn vector(run: &Run, rec: &mut Recorder, node: &Node, number: usize, width: usize) -> Result<Option<Tensor>> {
    match node.input(number) {
        Some(value) if run.shape(value).is_some_and(|shape| shape.iter().product::<usize>() == width) => {
            Ok(Some(run.gpu(rec, value)?.plainly(rec)?.reshape(&[width])))
        }
        _ => Ok(None),
    }
}

fn reduction(op: &str) -> Option<Reduction> {
    Some(match op {
        "ReduceSum" => Reduction::Sum,
        "ReduceMean" => Reduction::Mean,
        "ReduceMax" => Reduction::Max,
        "ReduceMin" => Reduction::Min,
        "ReduceL2" => Reduction::Norm,
        _ => return None,
    })
}

/// Whether the last axis alone is reduced, and then whether it is kept.
fn reduces_last(run: &Run, rec: &mut Recorder, node: &Node, last: usize) -> Result<Option<bool>> {
    let axes = match node.input(1) {
        Some(value) => run.host(rec, value)?.i64().map(<[i64]>::to_vec),
        None => node.ints("axes").ok().flatten().map(<[i64]>::to_vec),
    };
    let is_last = matches!(axes.as_deref(), Some(&[axis]) if axis == -1 || axis == last as i64);
    Ok(is_last.then(|| node.flag("keepdims", true).unwrap_or(true)))
}

/// Of values [B, N, L, D]. Where D of queries and keys is less than that of the values, zeros make up for it.
fn attend(run: &Run, rec: &mut Recorder, node: &Node, shape: &[usize]) -> Result<Option<Vec<Laid>>> {
    let (&[batches, heads, queries, depth], Some(key), Some(value)) = (shape, node.input(1), node.input(2)) else { return Ok(None) };
    let (Some(k), Some(v)) = (run.shape(key), run.shape(value)) else { return Ok(None) };
    let &[_, _, keys, width] = &v[..] else { return Ok(None) };
    if k != [batches, heads, keys, depth] || v[..2] != k[..2] || depth > width {
        return Ok(None);
    }
    let mut side_by_side = |value: usize, len: usize| -> Result<Tensor> {
        let own = run.gpu(rec, value)?;
        Ok(widened(rec, own, width)?.ordered(rec, &[0, 2, 1, 3])?.reshape(&[batches * len, heads * width]))
    };
    let (q, k, v) = (side_by_side(node.input(0).unwrap_or(0), queries)?, side_by_side(key, keys)?, side_by_side(value, keys)?);
    let how = Heads { heads, batches, scale: node.float_or("scale", 1.0).unwrap_or(1.0), bias: None, shift: None, ranges: None };
    let out = attention(rec, &q, &k, &v, how, DType::F32)?.reshape(&[batches, queries, heads, width]);
    Ok(Some(vec![Laid { tensor: out, order: vec![0, 2, 1, 3] }]))
}

/// Values [B, N, L, D] with zeros behind D.
fn widened(rec: &mut Recorder, x: Laid, width: usize) -> Result<Laid> {
    let shape = x.shape();
    if shape[3] == width {
        return Ok(x);
    }
    let out = Laid { tensor: rec.alloc(&[shape[0], shape[2], shape[1], width], DType::F32)?, order: vec![0, 2, 1, 3] };
    let (zero, steps) = (rec.zeros(&[1])?, out.strides());
    let rest = [shape[0], shape[1], shape[2], width - shape[3]];
    let behind = View { offset: shape[3], strides: steps.clone() };
    strided(rec, &rest, (&zero, &View { offset: 0, strides: vec![0; 4] }), (&out.tensor, &behind))?;
    strided(rec, &shape, (&x.tensor, &View { offset: 0, strides: x.strides() }), (&out.tensor, &View { offset: 0, strides: steps }))?;
    Ok(out)
}
