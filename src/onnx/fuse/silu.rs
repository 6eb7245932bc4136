//! x * sigmoid(x).

use super::editor::Editor;
use crate::onnx::node::Node;

pub(super) fn silu(editor: &mut Editor, node: &Node) -> Option<Vec<Node>> {
    if node.op != "Mul" {
        return None;
    }
    let (gated, x) = editor.either(node, |editor, value| editor.made_by(value, "Sigmoid")?.input(0))?;
    (gated == x).then(|| vec![Node::instead(node, "Swish", &[x])])
}
