//! What fusions make: operators that ONNX has not, or not in this form.

use super::matmul::matmul;
use super::normalize::softmax_of;
use super::unary::activation;
use crate::linalg::exact_product;
use crate::onnx::call::{Call, Output, Outputs};
use crate::onnx::fault::{Fault, wrong};
use crate::onnx::node::{RESIDUAL, SLOPE};
use crate::onnx::value::Data;

/// A convolution and what follows it.
pub(super) fn conv<'a>(call: &Call<'a>) -> Outputs<'a> {
    let outputs = super::conv::conv(&Call { inputs: &call.inputs[..call.inputs.len().min(RESIDUAL)], ..*call })?;
    let slope = call.given(SLOPE);
    let channels = |shape: &[usize]| (shape[1], shape[2..].iter().product::<usize>());
    finished(call, outputs, move |sums, shape| {
        let (Some(slope), (channels, places)) = (slope, channels(shape)) else { return Ok(()) };
        let slope = slope.f32()?;
        let leak = |(at, x): (usize, &mut f32)| *x *= if *x < 0.0 { slope[at / places % channels] } else { 1.0 };
        sums.iter_mut().enumerate().for_each(leak);
        Ok(())
    })
}

/// x W + b and what follows it.
pub(super) fn linear<'a>(call: &Call<'a>) -> Outputs<'a> {
    let bias = call.floats_of_rank(2, 1)?;
    let product = only(matmul(&Call { inputs: &call.inputs[..2], ..*call })?)?;
    let outputs = Output::floats(product.shape.clone(), move || {
        let (mut sums, bias) = (floats(product)?, bias.f32()?);
        sums.iter_mut().enumerate().for_each(|(at, sum)| *sum += bias[at % bias.len()]);
        Ok(sums)
    })?;
    finished(call, outputs, |_, _| Ok(()))
}

/// A result with activation, `leak` and residual, in the order that the node says.
fn finished<'a>(call: &Call<'a>, outputs: Vec<Output<'a>>, leak: impl Fn(&mut [f32], &[usize]) -> Result<(), Fault> + 'a) -> Outputs<'a> {
    let output = only(outputs)?;
    let (residual, shape) = (call.floats_of_shape(RESIDUAL, &output.shape)?, output.shape.clone());
    let is_last = call.node.flag("activation_last", false)?;
    let activation = activation(call.node.text_or("activation", "")?);
    Output::floats(shape.clone(), move || {
        let mut sums = floats(output)?;
        let residual = residual.map(|residual| residual.f32()).transpose()?.unwrap_or_default();
        let add = |sums: &mut [f32]| sums.iter_mut().zip(residual).for_each(|(sum, other)| *sum += other);
        if is_last {
            add(&mut sums);
        }
        leak(&mut sums, &shape)?;
        if let Some(activation) = activation {
            sums.iter_mut().for_each(|sum| *sum = activation(*sum));
        }
        if !is_last {
            add(&mut sums);
        }
        Ok(sums)
    })
}

fn only(outputs: Vec<Output>) -> Result<Output, Fault> {
    outputs.into_iter().next().map_or_else(|| wrong("it has no result"), Ok)
}

fn floats(output: Output) -> Result<Vec<f32>, Fault> {
    match output.compute()?.into_data() {
        Data::F32(elements) => Ok(elements),
        data => wrong(format!("its result is {:?} where floating-point numbers belong", data.kind())),
    }
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
    let transposed: Vec<f32> = (0..depth).flat_map(|at| k[at..].iter().step_by(depth).copied()).collect();
    let mut scores = exact_product(q, &transposed, depth);
    scores.iter_mut().for_each(|score| *score *= scale);
    scores.chunks_exact_mut(keys).for_each(softmax_of);
    exact_product(&scores, v, keys)
}
