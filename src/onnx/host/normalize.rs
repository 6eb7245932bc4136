//! Softmax and normalisations.

use crate::onnx::call::{Call, Fact, Output, Outputs};
use crate::onnx::fault::{Fault, unsupported, wrong};
use crate::onnx::value::Kind;

/// Softmax, its logarithm, or 1 for the largest element.
pub(super) fn softmax<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.floats(0)?;
    let per_axis = call.opset >= 13;
    let axis = call.node.int_or("axis", if per_axis { -1 } else { 1 })?;
    if x.rank() == 0 || !per_axis && axis == x.rank() as i64 {
        return wrong("it has no axis to work along");
    }
    let axis = x.axis(axis)?;
    let (outer, extent, inner) = x.around(axis);
    // Before version 13 all axes from this one on are one.
    let (extent, inner) = if per_axis { (extent, inner) } else { (extent * inner, 1) };
    let function: fn(&mut [f32]) = match call.node.op.as_str() {
        "Softmax" => softmax_of,
        "LogSoftmax" => log_softmax_of,
        _ => hardmax_of,
    };
    Output::floats(x.shape.to_vec(), move || Ok(lines(x.f32()?, [outer, extent, inner], function)))
}

/// Applies a function to each line along the middle axis.
fn lines(x: &[f32], [outer, extent, inner]: [usize; 3], function: impl Fn(&mut [f32])) -> Vec<f32> {
    let mut result = x.to_vec();
    if x.is_empty() {
        return result;
    }
    let mut line = vec![0.0; extent];
    for start in (0..outer * inner).map(|at| at / inner * extent * inner + at % inner) {
        line.iter_mut().zip(x[start..].iter().step_by(inner)).for_each(|(to, &from)| *to = from);
        function(&mut line);
        result[start..].iter_mut().step_by(inner).zip(&line).for_each(|(to, &from)| *to = from);
    }
    result
}

/// Softmax of one line, in its place.
pub(super) fn softmax_of(line: &mut [f32]) {
    let most = line.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    line.iter_mut().for_each(|x| *x = (*x - most).exp());
    let sum = line.iter().map(|&x| f64::from(x)).sum::<f64>() as f32;
    line.iter_mut().for_each(|x| *x /= sum);
}

fn log_softmax_of(line: &mut [f32]) {
    let most = line.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let sum: f64 = line.iter().map(|&x| f64::from(x - most).exp()).sum();
    line.iter_mut().for_each(|x| *x -= most + sum.ln() as f32);
}

fn hardmax_of(line: &mut [f32]) {
    let best = (1..line.len()).fold(0, |best, at| if line[at] > line[best] { at } else { best });
    line.iter_mut().enumerate().for_each(|(at, x)| *x = f32::from(u8::from(at == best)));
}

/// Lines divided by their norm of order 1 or 2.
pub(super) fn lp<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.floats(0)?;
    let (outer, extent, inner) = x.around(x.axis(call.node.int_or("axis", -1)?)?);
    let p = call.node.int_or("p", 2)?;
    let divide = move |line: &mut [f32]| {
        let sum: f64 = line.iter().map(|&x| f64::from(x)).map(|x| if p == 1 { x.abs() } else { x * x }).sum();
        let norm = if p == 1 { sum } else { sum.sqrt() };
        line.iter_mut().for_each(|x| *x = if norm == 0.0 { 0.0 } else { (f64::from(*x) / norm) as f32 });
    };
    Output::floats(x.shape.to_vec(), move || Ok(lines(x.f32()?, [outer, extent, inner], divide)))
}

/// Mean and 1 / deviation.
fn moments(x: &[f32], epsilon: f32) -> (f64, f64) {
    let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / x.len() as f64;
    let variance = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / x.len() as f64;
    (mean, (variance + f64::from(epsilon)).sqrt().recip())
}

/// LayerNormalization, with mean and 1 / deviation as further outputs, and RMSNormalization.
pub(super) fn layer<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.floats(0)?;
    let axis = x.axis(call.node.int_or("axis", -1)?)?;
    let epsilon = call.node.float_or("epsilon", 1e-5)?;
    let inner = &x.shape[axis..];
    let is_rms = call.node.op == "RMSNormalization";
    let scale = call.input(1)?;
    let (scale, bias) = (over(scale, inner)?, call.given(2).map(|bias| over(bias, inner)).transpose()?);
    let size: usize = inner.iter().product();
    let statistics = move |group: &[f32]| match is_rms {
        true => (0.0, (group.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / size as f64 + f64::from(epsilon)).sqrt().recip()),
        false => moments(group, epsilon),
    };
    let normal = Output::new(x.shape.to_vec(), Kind::F32, move || {
        let (x, scale, bias) = (x.f32()?, scale.f32()?, bias.map(|bias| bias.f32()).transpose()?);
        let mut result = Vec::with_capacity(x.len());
        for group in x.chunks_exact(size.max(1)) {
            let (mean, factor) = statistics(group);
            let normal = group.iter().map(|&x| ((f64::from(x) - mean) * factor) as f32);
            let scaled = normal.enumerate().map(|(at, x)| x * scale[at % scale.len()] + bias.map_or(0.0, |bias| bias[at % bias.len()]));
            result.extend(scaled);
        }
        Ok(crate::onnx::value::Data::F32(result))
    })?;
    let mut head = x.shape[..axis].to_vec();
    head.resize(x.rank(), 1);
    let mut outputs = vec![normal];
    for which in 0..2 {
        outputs.push(Output::new(head.clone(), Kind::F32, move || {
            let pick = |group: &[f32]| if which == 0 { moments(group, epsilon).0 } else { moments(group, epsilon).1 };
            Ok(crate::onnx::value::Data::F32(x.f32()?.chunks_exact(size.max(1)).map(|group| pick(group) as f32).collect()))
        })?);
    }
    outputs.truncate(if is_rms { 1 } else { 3 });
    Ok(outputs)
}

/// A scale or bias that repeats over the axes that are normalised.
fn over<'a>(scale: Fact<'a>, inner: &[usize]) -> Result<Fact<'a>, Fault> {
    let first = scale.shape.iter().position(|&extent| extent != 1).unwrap_or(scale.rank());
    match inner.ends_with(&scale.shape[first..]) && scale.kind == Kind::F32 {
        true => Ok(scale),
        false => wrong(format!("its scale or bias of shape {:?} does not fit {inner:?}", scale.shape)),
    }
}

/// Numbers by channel: the second axis.
fn by_channel(x: Fact, function: impl Fn(usize, f32) -> f32) -> Result<Vec<f32>, Fault> {
    let (_, channels, inner) = x.around(1);
    let planes = x.f32()?.chunks_exact(inner.max(1)).enumerate();
    Ok(planes.flat_map(|(plane, values)| values.iter().map(move |&value| (plane % channels, value))).map(|(c, x)| function(c, x)).collect())
}

/// BatchNormalization with the statistics of training.
pub(super) fn batch<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.floats_of_rank(0, 2)?;
    if call.node.flag("training_mode", false)? {
        return unsupported("it is in training mode: export the model for inference");
    }
    let channels = [x.shape[1]];
    let parameter = |number| call.floats_of_shape(number, &channels)?.map_or_else(|| wrong("it lacks a parameter"), Ok);
    let (scale, bias, mean, variance) = (parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?);
    let epsilon = call.node.float_or("epsilon", 1e-5)?;
    Output::floats(x.shape.to_vec(), move || {
        let (scale, bias, mean, variance) = (scale.f32()?, bias.f32()?, mean.f32()?, variance.f32()?);
        let factors: Vec<f32> = scale.iter().zip(variance).map(|(scale, variance)| scale / (variance + epsilon).sqrt()).collect();
        by_channel(x, |c, x| (x - mean[c]) * factors[c] + bias[c])
    })
}

pub(super) fn groups<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.floats_of_rank(0, 3)?;
    let channels = x.shape[1];
    let groups = if call.node.op == "GroupNormalization" { call.node.int_or("num_groups", 0)? } else { channels as i64 };
    let groups = usize::try_from(groups).ok().filter(|&groups| groups > 0 && channels.is_multiple_of(groups));
    let Some(groups) = groups else { return wrong(format!("its {channels} channels are not in equal groups")) };
    // Before version 21 a group of channels had one scale.
    let scales = if call.node.op == "GroupNormalization" && call.opset < 21 { groups } else { channels };
    let parameter = |number| call.floats_of_shape(number, &[scales])?.map_or_else(|| wrong("it lacks a parameter"), Ok);
    let (scale, bias, epsilon) = (parameter(1)?, parameter(2)?, call.node.float_or("epsilon", 1e-5)?);
    let plane: usize = x.shape[2..].iter().product();
    Output::floats(x.shape.to_vec(), move || {
        let (scale, bias) = (scale.f32()?, bias.f32()?);
        let size = (channels / groups * plane).max(1);
        let mut result = Vec::with_capacity(x.count());
        for (number, group) in x.f32()?.chunks_exact(size).enumerate() {
            let (mean, factor) = moments(group, epsilon);
            result.extend(group.iter().enumerate().map(|(at, &x)| {
                let channel = (number * size + at) / plane % channels * scales / channels;
                ((f64::from(x) - mean) * factor) as f32 * scale[channel] + bias[channel]
            }));
        }
        Ok(result)
    })
}
