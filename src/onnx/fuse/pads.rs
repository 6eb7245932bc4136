//! Zeros around an image, then a convolution, or what is below all numbers, then a pool of the largest: their own padding.

use super::editor::Editor;
use crate::onnx::graph::Outline;
use crate::onnx::node::Node;
use crate::onnx::value::Kind;

pub(super) fn pads(editor: &mut Editor, node: &Node) -> Option<Vec<Node>> {
    let is_neutral: fn(f32) -> bool = match node.op.as_str() {
        "Conv" => |fill| fill == 0.0,
        "MaxPool" if !node.flag("ceil_mode", false).ok()? => |fill| fill <= f32::MIN,
        _ => return None,
    };
    if !matches!(node.text_or("auto_pad", "NOTSET").ok()?, "NOTSET" | "VALID") {
        return None;
    }
    let transpose = editor.made_by(node.input(0)?, "Transpose").cloned();
    let pad = editor.made_by(transpose.as_ref().map_or(node.input(0), |transpose| transpose.input(0))?, "Pad")?;
    let (image, mut added) = padded(editor, pad, is_neutral)?;
    let rank = added.len() / 2;
    let order = transpose
        .as_ref()
        .map_or_else(|| Some((0..rank as i64).collect()), |transpose| transpose.ints("perm").ok()?.map(<[i64]>::to_vec))?;
    let axes: Vec<_> = order.iter().map(|axis| axis.rem_euclid(rank as i64) as usize).collect();
    added = [0, rank].iter().flat_map(|half| axes.iter().map(|axis| added[half + axis]).collect::<Vec<_>>()).collect();
    let is_around_image = |(at, &pad): (usize, &i64)| if at % rank < 2 { pad == 0 } else { pad >= 0 };
    if !added.iter().enumerate().all(is_around_image) {
        return None;
    }
    let around = added[2..rank].iter().chain(&added[rank + 2..]);
    let own = node.ints("pads").ok()?.map_or_else(|| vec![0; 2 * (rank - 2)], <[i64]>::to_vec);
    let sums = around.zip(&own).map(|(added, own)| added.checked_add(*own)).collect::<Option<Vec<_>>>()?;
    let mut windowed = node.clone().with_ints("pads", sums).without("auto_pad");
    let Some(transpose) = transpose else {
        windowed.inputs[0] = Some(image);
        return Some(vec![windowed]);
    };
    let shape = axes.iter().map(|&axis| editor.shape(image).map(|shape| shape[axis])).collect::<Option<_>>()?;
    let transposed = editor.add_value(Outline { shape, kind: Kind::F32 });
    let mut transpose = Node::instead(&transpose, "Transpose", &[image]).with_ints("perm", order);
    transpose.outputs = vec![Some(transposed)];
    windowed.inputs[0] = Some(transposed);
    Some(vec![transpose, windowed])
}

/// What a node pads, and by how much at the beginning of each axis and at the end of each, where it is with one number.
fn padded(editor: &Editor, pad: &Node, is_neutral: fn(f32) -> bool) -> Option<(usize, Vec<i64>)> {
    let fill = match pad.input(2) {
        Some(fill) => editor.scalar(fill)?,
        None => pad.float_or("value", 0.0).ok()?,
    };
    let image = pad.input(0)?;
    let added = match pad.input(1) {
        Some(pads) => editor.constant(pads)?.i64()?.to_vec(),
        None => pad.ints("pads").ok()??.to_vec(),
    };
    let is_plain = pad.text_or("mode", "constant").ok()? == "constant" && pad.input(3).is_none() && is_neutral(fill);
    (is_plain && added.len() == 2 * editor.shape(image)?.len()).then_some((image, added))
}
