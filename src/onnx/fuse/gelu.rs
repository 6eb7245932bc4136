//! x / 2 * (1 + erf(x / sqrt(2))), its factors in any order.

use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

use super::editor::Editor;
use crate::onnx::node::Node;

pub(super) fn gelu(editor: &mut Editor, node: &Node) -> Option<Vec<Node>> {
    if node.op != "Mul" {
        return None;
    }
    let (mut factors, mut scale) = (Vec::new(), 1.0);
    collect(editor, node, &mut factors, &mut scale, 0)?;
    let [a, b] = factors[..] else { return None };
    let x = if argument(editor, b) == Some(a) { a } else { b };
    let other = if x == a { b } else { a };
    let is_gelu = argument(editor, other) == Some(x) && (scale - 0.5).abs() < 1e-6;
    is_gelu.then(|| vec![Node::instead(node, "Gelu", &[x])])
}

/// The factors of a product of products, numbers apart.
fn collect(editor: &Editor, node: &Node, factors: &mut Vec<usize>, scale: &mut f32, depth: usize) -> Option<()> {
    for value in [node.input(0)?, node.input(1)?] {
        match (editor.scalar(value), editor.made_by(value, "Mul")) {
            (Some(number), _) => *scale *= number,
            (None, Some(inner)) if depth < 2 && editor.is_used_once(value) => collect(editor, inner, factors, scale, depth + 1)?,
            _ => factors.push(value),
        }
    }
    Some(())
}

/// The x of 1 + erf(x / sqrt(2)).
fn argument(editor: &Editor, value: usize) -> Option<usize> {
    let sum = editor.made_by(value, "Add")?;
    let ((), erf) = editor.either(sum, |editor, value| editor.is_scalar(value, 1.0).then_some(()))?;
    let scaled = editor.made_by(erf, "Erf")?.input(0)?;
    if let Some(quotient) = editor.made_by(scaled, "Div") {
        return editor.is_scalar(quotient.input(1)?, SQRT_2).then(|| quotient.input(0)).flatten();
    }
    let product = editor.made_by(scaled, "Mul")?;
    editor.either(product, |editor, value| editor.is_scalar(value, FRAC_1_SQRT_2).then_some(())).map(|((), x)| x)
}
