//! What fusions make: operators that ONNX has not, or not in this form.

use super::conv::conv_and;
use super::finish::Finish;
use super::matmul::matmul_and;
use super::normalize::softmax_of;
use super::unary::activation;
use crate::linalg::{matrix, multiply, product};
use crate::onnx::call::{Call, Fact, Output, Outputs};
use crate::onnx::fault::{Fault, wrong};
use crate::onnx::node::{RESIDUAL, SLOPE};

/// A convolution and what follows it.
pub(super) fn conv<'a>(call: &Call<'a>) -> Outputs<'a> {
    let (bias, slope, finish) = (call.given(2), call.given(SLOPE), finish(call)?);
    let outputs = conv_and(&Call { inputs: &call.inputs[..call.inputs.len().min(RESIDUAL)], ..*call }, move || {
        Ok(Finish { row_bias: elements(bias)?, slope: elements(slope)?, ..finish()? })
    })?;
    call.floats_of_shape(RESIDUAL, &outputs[0].shape)?;
    Ok(outputs)
}

/// x W + b and what follows it.
pub(super) fn linear<'a>(call: &Call<'a>) -> Outputs<'a> {
    let (bias, finish) = (call.floats_of_rank(2, 1)?, finish(call)?);
    let outputs = matmul_and(&Call { inputs: &call.inputs[..2], ..*call }, move || Ok(Finish { column_bias: bias.f32()?, ..finish()? }))?;
    call.floats_of_shape(RESIDUAL, &outputs[0].shape)?;
    Ok(outputs)
}

/// Activation and residual, in the order that the node says.
fn finish<'a>(call: &Call<'a>) -> Result<impl FnOnce() -> Result<Finish<'a>, Fault> + use<'a>, Fault> {
    let residual = call.given(RESIDUAL);
    let activation_last = call.node.flag("activation_last", false)?;
    let activation = activation(call.node.text_or("activation", "")?);
    Ok(move || Ok(Finish { activation, residual: elements(residual)?, activation_last, ..Finish::default() }))
}

fn elements(input: Option<Fact<'_>>) -> Result<&[f32], Fault> {
    input.map_or(Ok(&[]), |input| input.f32())
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
    let queries = q.len() / depth;
    let mut scores = vec![0.0; queries * keys];
    multiply(matrix(q, queries, depth), matrix(k, keys, depth).reversed_axes(), |_, _| (), &mut scores);
    scores.iter_mut().for_each(|score| *score *= scale);
    scores.chunks_exact_mut(keys).for_each(softmax_of);
    product(&scores, v, keys)
}
