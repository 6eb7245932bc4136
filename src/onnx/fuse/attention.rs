//! softmax(scale * Q K^T) V, also where it is written as V^T softmax(scale * Q K^T)^T, which is that transposed.

use super::editor::Editor;
use crate::onnx::graph::Outline;
use crate::onnx::node::Node;
use crate::onnx::value::Kind;

pub(super) fn attention(editor: &mut Editor, node: &Node) -> Option<Vec<Node>> {
    if node.op != "MatMul" {
        return None;
    }
    let (left, right) = (node.input(0)?, node.input(1)?);
    if let Some(scores) = scores(editor, left) {
        let key = transposed(editor, node, scores.transposed_key)?;
        return attend(editor, node, &scores, key.outputs[0]?, right).map(|attention| vec![key, attention]);
    }
    let transpose = editor.made_by(right, "Transpose")?.clone();
    let scores = scores(editor, transpose.input(0)?).filter(|_| swaps_last_two(editor, &transpose))?;
    let (key, value) = (transposed(editor, node, scores.transposed_key)?, transposed(editor, node, left)?);
    let mut attention = attend(editor, node, &scores, key.outputs[0]?, value.outputs[0]?)?;
    let mut shape = editor.shape(node.output()?)?.to_vec();
    let last = shape.len() - 1;
    shape.swap(last - 1, last);
    let mixed = editor.add_value(Outline { shape, kind: Kind::F32 });
    attention.outputs = vec![Some(mixed)];
    let mut back = transposed(editor, node, mixed)?;
    back.outputs.clone_from(&node.outputs);
    Some(vec![key, value, attention, back])
}

/// What a softmax along the last axis is of: products of queries with keys, times a number.
struct Scores {
    query: usize,
    transposed_key: usize,
    scale: f32,
}

fn scores(editor: &Editor, weights: usize) -> Option<Scores> {
    let softmax = editor.made_by(weights, "Softmax")?;
    let scores = softmax.input(0)?;
    let rank = editor.shape(scores)?.len();
    let axis = softmax.int("axis").ok()?.unwrap_or(-1);
    if rank < 3 || axis != -1 && axis != rank as i64 - 1 {
        return None;
    }
    let (scores, scale) = unscaled(editor, scores);
    let product = editor.made_by(scores, "MatMul")?;
    let (query, of_query) = unscaled(editor, product.input(0)?);
    let (transposed_key, of_key) = unscaled(editor, product.input(1)?);
    Some(Scores { query, transposed_key, scale: scale * of_query * of_key })
}

fn attend(editor: &Editor, node: &Node, scores: &Scores, key: usize, value: usize) -> Option<Node> {
    let [q, k, v] = [scores.query, key, value].map(|value| editor.shape(value));
    let (q, k, v) = (q?, k?, v?);
    let stack = |shape: &[usize]| shape[..shape.len() - 2].to_vec();
    let fits = q.len() == k.len() && q.len() == v.len() && stack(q) == stack(k) && stack(q) == stack(v);
    fits.then(|| Node::instead(node, "ScaledDotProduct", &[scores.query, key, value]).with_float("scale", scores.scale))
}

/// A value with its last two axes in each other's place.
fn transposed(editor: &mut Editor, near: &Node, value: usize) -> Option<Node> {
    let mut shape = editor.shape(value)?.to_vec();
    let last = shape.len().checked_sub(1).filter(|&last| last > 0)?;
    shape.swap(last - 1, last);
    let mut order: Vec<_> = (0..=last as i64).collect();
    order.swap(last - 1, last);
    let mut transpose = Node::instead(near, "Transpose", &[value]).with_ints("perm", order);
    transpose.outputs = vec![Some(editor.add_value(Outline { shape, kind: Kind::F32 }))];
    Some(transpose)
}

fn swaps_last_two(editor: &Editor, transpose: &Node) -> bool {
    let Some(last) = transpose.input(0).and_then(|value| editor.shape(value)).map(|shape| shape.len() - 1) else { return false };
    let mut order: Vec<_> = (0..=last as i64).collect();
    order.swap(last - 1, last);
    transpose.ints("perm").is_ok_and(|perm| perm == Some(&order))
}

/// A value without the numbers that it is multiplied with or divided by, and what those come to.
fn unscaled(editor: &Editor, value: usize) -> (usize, f32) {
    let product = editor.made_by(value, "Mul").and_then(|node| editor.either(node, |editor, value| editor.scalar(value)));
    let quotient = editor.made_by(value, "Div").and_then(|node| Some((editor.scalar(node.input(1)?)?.recip(), node.input(0)?)));
    product.or(quotient).map_or((value, 1.0), |(scale, value)| (value, scale))
}
