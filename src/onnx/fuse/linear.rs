//! x W + b: a linear layer.

use super::editor::Editor;
use crate::onnx::node::Node;

pub(super) fn linear(editor: &mut Editor, node: &Node) -> Option<Vec<Node>> {
    if node.op != "Add" {
        return None;
    }
    let (bias, product) = editor.either(node, |editor, value| editor.is_constant(value).then_some(value))?;
    let product = editor.made_by(product, "MatMul")?;
    let (x, weight) = (product.input(0)?, product.input(1)?);
    let &[_, width] = editor.shape(weight).filter(|_| editor.is_constant(weight))? else { return None };
    let fits = editor.shape(bias)? == [width] && editor.shape(x)?.len() >= 2;
    fits.then(|| vec![Node::instead(node, "Linear", &[x, weight, bias])])
}
