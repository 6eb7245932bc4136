//! (x - mean) / sqrt(variance + epsilon) * scale + bias along the last axis.

use super::editor::Editor;
use crate::onnx::node::Node;

pub(super) fn layer_norm(editor: &mut Editor, node: &Node) -> Option<Vec<Node>> {
    if node.op != "Add" {
        return None;
    }
    let (bias, scaled) = editor.either(node, vector)?;
    let (scale, normal) = editor.either(editor.made_by(scaled, "Mul")?, vector)?;
    let quotient = editor.made_by(normal, "Div")?;
    let (x, mean) = centred(editor, quotient.input(0)?)?;
    let sum = editor.made_by(editor.made_by(quotient.input(1)?, "Sqrt")?.input(0)?, "Add")?;
    let (epsilon, variance) = editor.either(sum, |editor, value| editor.scalar(value))?;
    let square = mean_along_last(editor, variance)?;
    let centre = squared(editor, square)?;
    // Exporters write the difference once or twice.
    let width = *editor.shape(x)?.last()?;
    let fits = [scale, bias].iter().all(|&vector| editor.shape(vector).is_some_and(|shape| shape.ends_with(&[width])));
    let is_whole = centred(editor, centre)? == (x, mean) && mean_along_last(editor, mean)? == x && fits;
    is_whole.then(|| vec![Node::instead(node, "LayerNormalization", &[x, scale, bias]).with_int("axis", -1).with_float("epsilon", epsilon)])
}

/// A constant with one number for each element of the last axis.
fn vector(editor: &Editor, value: usize) -> Option<usize> {
    let shape = editor.shape(value).filter(|_| editor.is_constant(value))?;
    let (last, others) = shape.split_last()?;
    (*last > 1 && others.iter().all(|&extent| extent == 1)).then_some(value)
}

/// x and its mean, of their difference.
fn centred(editor: &Editor, value: usize) -> Option<(usize, usize)> {
    let difference = editor.made_by(value, "Sub")?;
    Some((difference.input(0)?, difference.input(1)?))
}

fn squared(editor: &Editor, value: usize) -> Option<usize> {
    if let Some(power) = editor.made_by(value, "Pow") {
        return editor.is_scalar(power.input(1)?, 2.0).then(|| power.input(0)).flatten();
    }
    let product = editor.made_by(value, "Mul")?;
    (product.input(0) == product.input(1)).then(|| product.input(0)).flatten()
}

/// What a value is the mean of, along the last axis.
fn mean_along_last(editor: &Editor, value: usize) -> Option<usize> {
    let mean = editor.made_by(value, "ReduceMean")?;
    let x = mean.input(0)?;
    let last = editor.shape(x)?.len() as i64 - 1;
    let axes = match mean.input(1) {
        Some(axes) => editor.constant(axes)?.i64()?.to_vec(),
        None => mean.ints("axes").ok()??.to_vec(),
    };
    (matches!(axes[..], [axis] if axis == -1 || axis == last) && mean.flag("keepdims", true).ok()?).then_some(x)
}
