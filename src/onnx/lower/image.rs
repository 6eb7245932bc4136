//! Convolutions, pools and other sizes of images.

use super::following::Following;
use super::laid::Laid;
use super::run::Run;
use super::weights::{Weights, window};
use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::Recorder;
use crate::onnx::call::{Call, Fact};
use crate::onnx::host::resize::{Taps, taps};
use crate::onnx::node::Node;
use crate::ops::channelwise::channelwise;
use crate::ops::conv::{ConvOptions, conv};
use crate::ops::finish::Finish;
use crate::ops::permute::permute;
use crate::ops::pool::{Pool, pool};
use crate::ops::resample::{Between, resample};
use crate::ops::window::Window;

pub(super) fn lower(run: &Run, rec: &mut Recorder, node: &Node, weights: &Weights) -> Result<Option<Vec<Laid>>> {
    let Some(value) = node.input(0).filter(|&value| run.shape(value).is_some_and(|shape| shape.len() == 4)) else { return Ok(None) };
    let made = match (weights, node.op.as_str()) {
        (Weights::Conv { weight, bias, window }, _) => {
            let x = run.gpu(rec, value)?.as_image(rec)?;
            let (pad, following) = ([(0, 0), window.pad[0], window.pad[1]], Following::of(run, rec, node)?);
            let options = ConvOptions { stride: window.stride[0], pad, finish: following.finish(bias.as_ref()), ..ConvOptions::default() };
            conv(rec, &x, weight, options, DType::F32)?
        }
        (Weights::Shuffled { weight, bias, block }, _) => {
            let x = run.gpu(rec, value)?.as_image(rec)?;
            let finish = Finish { bias: bias.as_ref(), ..Finish::default() };
            let options = ConvOptions { pad: [(0, 0), (1, 1), (1, 1)], finish, ..ConvOptions::default() };
            let blocks = conv(rec, &x, weight, options, DType::F32)?;
            let (&[b, h, w, c], block) = (blocks.shape(), *block) else { return Ok(None) };
            let c = c / (block * block);
            let blocks = blocks.reshape(&[b, h, w, block, block, c]);
            permute(rec, &blocks, &[0, 1, 3, 2, 4, 5], DType::F32)?.reshape(&[b, h * block, w * block, c])
        }
        (Weights::Channelwise { weight, bias, window }, _) => {
            let x = run.gpu(rec, value)?.as_image(rec)?;
            let following = Following::of(run, rec, node)?;
            channelwise(rec, &x, weight, window, following.finish(bias.as_ref()), DType::F32)?
        }
        (_, "MaxPool" | "AveragePool" | "GlobalMaxPool" | "GlobalAveragePool") if node.outputs.len() == 1 => {
            let Some((what, window)) = pooling(run, node, value) else { return Ok(None) };
            let x = run.gpu(rec, value)?.as_image(rec)?;
            pool(rec, &x, what, &window, DType::F32)?
        }
        (_, "Resize" | "Upsample") => {
            let Some([rows, columns]) = lines(run, rec, node)? else { return Ok(None) };
            let x = run.gpu(rec, value)?.as_image(rec)?;
            resample(rec, &x, &rows, &columns, DType::F32)?
        }
        _ => return Ok(None),
    };
    Ok(Some(vec![Laid::image(made)]))
}

fn pooling(run: &Run, node: &Node, value: usize) -> Option<(Pool, Window)> {
    let shape = run.shape(value)?;
    let what = match node.op.as_str() {
        "MaxPool" | "GlobalMaxPool" => Pool::Max,
        _ if node.flag("count_include_pad", false).ok()? => Pool::MeanWithPads,
        _ => Pool::Mean,
    };
    let whole = Window { kernel: [shape[2], shape[3]], stride: [1, 1], pad: [(0, 0); 2], places: [1, 1] };
    let window = if node.op.starts_with("Global") { Some(whole) } else { window(run.graph, node) };
    window.map(|window| (what, window))
}

/// The lines of the image that each line of the result lies between, where there are no more than two.
fn lines(run: &Run, rec: &mut Recorder, node: &Node) -> Result<Option<[Vec<Between>; 2]>> {
    let Some(shape) = node.input(0).and_then(|value| run.shape(value)) else { return Ok(None) };
    let settings = node.inputs[1..].iter().map(|input| input.map(|value| run.host(rec, value)).transpose()).collect::<Result<Vec<_>>>()?;
    let mut facts = vec![Some(Fact::shaped(&shape, crate::onnx::value::Kind::F32))];
    facts.extend(settings.iter().map(|value| value.as_deref().map(Fact::known)));
    let Ok(taps) = taps(&Call { node, opset: run.graph.opset, inputs: &facts }) else { return Ok(None) };
    let is_kept =
        |axis: usize| taps[axis].len() == shape[axis] && (0..shape[axis]).all(|at| taps[axis][at].as_deref() == Some(&[(at, 1.0)]));
    if taps.len() != 4 || !is_kept(0) || !is_kept(1) {
        return Ok(None);
    }
    let [rows, columns] = [2, 3].map(|axis| taps[axis].iter().map(between).collect::<Option<Vec<_>>>());
    Ok(rows.zip(columns).map(|(rows, columns)| [rows, columns]))
}

fn between(taps: &Option<Taps>) -> Option<Between> {
    match taps.as_deref()? {
        [(at, _)] => Some((*at, *at, 0.0)),
        [(first, _), (second, weight)] => Some((*first, *second, *weight)),
        _ => None,
    }
}
