//! What fusions make: operators that ONNX has not, or not in this form.

use super::matmul::matmul;
use super::normalize::softmax_of;
use crate::linalg::product;
use crate::onnx::call::{Call, Output, Outputs};
use crate::onnx::fault::{Fault, wrong};

/// x W + b.
pub(super) fn linear<'a>(call: &Call<'a>) -> Outputs<'a> {
    let bias = call.floats_of_rank(2, 1)?;
    let outputs = matmul(&Call { node: call.node, opset: call.opset, inputs: &call.inputs[..2] })?;
    let output = outputs.into_iter().next().map_or_else(|| wrong("it has no product"), Ok)?;
    Output::floats(output.shape.clone(), move || {
        let product = output.compute()?;
        let product = product.f32().map_or_else(|| wrong("its product is none of numbers"), Ok)?;
        let bias = bias.f32()?;
        Ok(product.iter().enumerate().map(|(at, value)| value + bias[at % bias.len()]).collect())
    })
}

/// softmax(scale Q K^T) V of stacks of matrices.
pub(super) fn scaled_dot_product<'a>(call: &Call<'a>) -> Outputs<'a> {
    let (q, k, v) = (call.floats_of_rank(0, 2)?, call.floats_of_rank(1, 2)?, call.floats_of_rank(2, 2)?);
    let scale = call.node.float_or("scale", 1.0)?;
    let (&[.., queries, depth], &[.., keys, _], &[.., _, width]) = (q.shape, k.shape, v.shape) else {
        return wrong("its inputs are no matrices");
    };
    let mut shape = q.shape.to_vec();
    shape[q.rank() - 1] = width;
    Output::floats(shape, move || {
        let (q, k, v) = (q.f32()?, k.f32()?, v.f32()?);
        let stack = q.chunks_exact(queries * depth).zip(k.chunks_exact(keys * depth)).zip(v.chunks_exact(keys * width));
        Ok::<_, Fault>(stack.flat_map(|((q, k), v)| attend(q, k, v, [depth, keys], scale)).collect())
    })
}

fn attend(q: &[f32], k: &[f32], v: &[f32], [depth, keys]: [usize; 2], scale: f32) -> Vec<f32> {
    let turned: Vec<f32> = (0..depth).flat_map(|at| k[at..].iter().step_by(depth).copied()).collect();
    let mut scores = product(q, &turned, depth);
    scores.iter_mut().for_each(|score| *score *= scale);
    scores.chunks_exact_mut(keys).for_each(softmax_of);
    product(&scores, v, keys)
}
