//! What follows a convolution or a linear layer element by element, and what is added to its result: done on the way.

use super::editor::Editor;
use crate::onnx::node::{Node, RESIDUAL, SLOPE};
use crate::onnx::value::{Data, Value};

pub(super) fn finish(editor: &mut Editor, node: &Node) -> Option<Vec<Node>> {
    let mut fused = if node.op == "Add" { with_residual(editor, node) } else { with_activation(editor, node) }?;
    if fused.op == "Conv" {
        fused.op = "FusedConv".into();
    }
    fused.outputs.clone_from(&node.outputs);
    Some(vec![fused])
}

/// The convolution or linear layer that makes a value for one node alone.
fn maker(editor: &Editor, value: usize) -> Option<Node> {
    let maker = ["Conv", "FusedConv", "Linear"].iter().find_map(|op| editor.made_by(value, op))?;
    editor.is_used_once(value).then(|| maker.clone())
}

fn with_residual(editor: &Editor, node: &Node) -> Option<Node> {
    let fits = |value: usize, other: usize| {
        let maker = maker(editor, value).filter(|maker| maker.input(RESIDUAL).is_none())?;
        (editor.shape(value)? == editor.shape(other)?).then_some((maker, other))
    };
    let (a, b) = (node.input(0)?, node.input(1)?);
    let (mut fused, residual) = fits(a, b).or_else(|| fits(b, a))?;
    set_input(&mut fused, RESIDUAL, residual);
    Some(fused)
}

fn with_activation(editor: &mut Editor, node: &Node) -> Option<Node> {
    let value = node.input(0)?;
    let mut fused = maker(editor, value).filter(|maker| !maker.has("activation") && maker.input(SLOPE).is_none())?;
    let is_linear = fused.op == "Linear";
    let has_residual = fused.input(RESIDUAL).is_some();
    match slopes(editor, node) {
        Some(slopes) if !is_linear => {
            let slopes = editor.add_constant(Value::new(&[slopes.len()], Data::F32(slopes)));
            set_input(&mut fused, SLOPE, slopes);
        }
        _ => fused = fused.with_text("activation", activation(editor, node)?),
    }
    if has_residual && is_linear {
        return None;
    }
    Some(if has_residual { fused.with_int("activation_last", 1) } else { fused })
}

fn set_input(node: &mut Node, number: usize, value: usize) {
    node.inputs.resize(node.inputs.len().max(number + 1), None);
    node.inputs[number] = Some(value);
}

/// A function without settings, by the name that fused nodes have for it.
fn activation(editor: &Editor, node: &Node) -> Option<&'static str> {
    let bound = |number: usize, name: &str| match node.input(number) {
        Some(value) => editor.scalar(value),
        None => node.float(name).ok()?,
    };
    Some(match node.op.as_str() {
        "Relu" => "Relu",
        "Sigmoid" => "Sigmoid",
        "HardSwish" => "HardSwish",
        "Swish" if node.float_or("alpha", 1.0).ok()? == 1.0 => "Swish",
        "Gelu" if node.text_or("approximate", "none").ok()? == "none" => "Gelu",
        "Clip" if (bound(1, "min"), bound(2, "max")) == (Some(0.0), Some(6.0)) => "Relu6",
        _ => return None,
    })
}

/// By channel, what numbers below 0 are multiplied with.
fn slopes(editor: &Editor, node: &Node) -> Option<Vec<f32>> {
    let channels = *editor.shape(node.output()?)?.get(1)?;
    match node.op.as_str() {
        "LeakyRelu" => Some(vec![node.float_or("alpha", 0.01).ok()?; channels]),
        "PRelu" => {
            let slopes = editor.constant(node.input(1)?)?;
            let rank = editor.shape(node.output()?)?.len();
            let (shape, elements) = (slopes.shape(), slopes.f32()?);
            let is_by_channel = shape.iter().enumerate().all(|(axis, &extent)| extent == 1 || axis + rank == shape.len() + 1);
            match elements.len() {
                1 => Some(vec![elements[0]; channels]),
                count => (is_by_channel && count == channels).then(|| elements.to_vec()),
            }
        }
        _ => None,
    }
}
