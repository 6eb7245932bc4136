//! softmax(scale * Q K^T) V.

use super::editor::Editor;
use crate::onnx::graph::Outline;
use crate::onnx::node::Node;
use crate::onnx::value::Kind;

pub(super) fn attention(editor: &mut Editor, node: &Node) -> Option<Vec<Node>> {
    if node.op != "MatMul" {
        return None;
    }
    let value = node.input(1)?;
    let softmax = editor.made_by(node.input(0)?, "Softmax")?;
    let scores = softmax.input(0)?;
    let rank = editor.shape(scores)?.len();
    let axis = softmax.int("axis").ok()?.unwrap_or(-1);
    if rank < 3 || axis != -1 && axis != rank as i64 - 1 {
        return None;
    }
    let (scores, mut scale) = unscaled(editor, scores);
    let product = editor.made_by(scores, "MatMul")?;
    let (query, of_query) = unscaled(editor, product.input(0)?);
    let (turned, of_key) = unscaled(editor, product.input(1)?);
    scale *= of_query * of_key;
    let shapes = [query, turned, value].map(|value| editor.shape(value).map(<[usize]>::to_vec));
    let [Some(q), Some(k), Some(v)] = shapes else { return None };
    let stack = &q[..rank - 2];
    if q.len() != rank || k.len() != rank || v.len() != rank || k[..rank - 2] != *stack || v[..rank - 2] != *stack {
        return None;
    }
    let turn = editor.made_by(turned, "Transpose")?.clone();
    // The keys as they were before their last two axes changed places.
    let mut order = turn.ints("perm").ok()??.to_vec();
    order.swap(rank - 2, rank - 1);
    let key = Outline { shape: [stack, &[k[rank - 1], k[rank - 2]]].concat(), kind: Kind::F32 };
    let key = editor.add_value(key);
    let mut turned_back = Node::instead(&turn, "Transpose", &[turn.input(0)?]).with_ints("perm", order);
    turned_back.outputs = vec![Some(key)];
    Some(vec![turned_back, Node::instead(node, "ScaledDotProduct", &[query, key, value]).with_float("scale", scale)])
}

/// A value without the numbers that it is multiplied with or divided by, and what those come to.
fn unscaled(editor: &Editor, value: usize) -> (usize, f32) {
    let product = editor.made_by(value, "Mul").and_then(|node| editor.either(node, |editor, value| editor.scalar(value)));
    let quotient = editor.made_by(value, "Div").and_then(|node| Some((editor.scalar(node.input(1)?)?.recip(), node.input(0)?)));
    product.or(quotient).map_or((value, 1.0), |(scale, value)| (value, scale))
}
