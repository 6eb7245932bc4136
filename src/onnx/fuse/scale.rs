//! Scales and shifts of channels after a convolution: other weights.

use super::editor::Editor;
use crate::onnx::node::Node;
use crate::onnx::value::{Data, Value};

/// What becomes of each channel: factor and shift.
type Affine = Vec<(f32, f32)>;

pub(super) fn scale(editor: &mut Editor, node: &Node) -> Option<Vec<Node>> {
    let (x, affine) = batch_norm(editor, node).or_else(|| arithmetic(editor, node))?;
    let conv = ["Conv", "ConvTranspose"].iter().find_map(|op| editor.made_by(x, op))?.clone();
    let weight = editor.constant(conv.input(1)?)?;
    let group = conv.int_or("group", 1).ok()?;
    let is_transposed = conv.op == "ConvTranspose";
    if !editor.is_used_once(x) || is_transposed && group != 1 {
        return None;
    }
    let axis = usize::from(is_transposed);
    let channels = *weight.shape().get(axis)?;
    let affine = match affine.len() {
        1 => vec![affine[0]; channels],
        count if count == channels => affine,
        _ => return None,
    };
    let bias = match conv.input(2) {
        Some(bias) => editor.constant(bias)?.f32()?.to_vec(),
        None => vec![0.0; channels],
    };
    let inner: usize = weight.shape()[axis + 1..].iter().product();
    let scaled = weight.f32()?.iter().enumerate().map(|(at, weight)| weight * affine[at / inner % channels].0).collect();
    let shifted = bias.iter().zip(&affine).map(|(bias, (factor, shift))| bias * factor + shift).collect();
    let weight = editor.add_constant(Value::new(weight.shape(), Data::F32(scaled)));
    let bias = editor.add_constant(Value::new(&[channels], Data::F32(shifted)));
    let mut folded = conv.clone();
    folded.inputs = vec![conv.input(0), Some(weight), Some(bias)];
    folded.outputs.clone_from(&node.outputs);
    Some(vec![folded])
}

fn batch_norm(editor: &Editor, node: &Node) -> Option<(usize, Affine)> {
    if node.op != "BatchNormalization" {
        return None;
    }
    let parameter = |number| editor.constant(node.input(number)?);
    let (scale, bias, mean, variance) = (parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?);
    let epsilon = node.float_or("epsilon", 1e-5).ok()?;
    let factors = scale.f32()?.iter().zip(variance.f32()?).map(|(scale, variance)| scale / (variance + epsilon).sqrt());
    let shifts = bias.f32()?.iter().zip(mean.f32()?);
    Some((node.input(0)?, factors.zip(shifts).map(|(factor, (bias, mean))| (factor, bias - mean * factor)).collect()))
}

fn arithmetic(editor: &Editor, node: &Node) -> Option<(usize, Affine)> {
    let affine: fn(f32) -> (f32, f32) = match node.op.as_str() {
        "Add" => |c| (1.0, c),
        "Mul" => |c| (c, 0.0),
        _ => return None,
    };
    let rank = editor.shape(node.output()?)?.len();
    let (constant, x) = editor.either(node, |editor, value| per_channel(editor, value, rank))?;
    Some((x, constant.into_iter().map(affine).collect()))
}

/// The elements of a constant that differ by channel alone.
fn per_channel(editor: &Editor, value: usize, rank: usize) -> Option<Vec<f32>> {
    if !editor.is_constant(value) {
        return None;
    }
    let shape = editor.shape(value)?;
    let has_channels = |(axis, &extent): (usize, &usize)| extent == 1 || axis + rank == shape.len() + 1;
    (shape.len() <= rank && shape.iter().enumerate().all(has_channels))
        .then(|| editor.constant(value)?.f32().map(<[f32]>::to_vec))
        .flatten()
}
