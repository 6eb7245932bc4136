//! Zeros around an image, then a convolution: the convolution's own padding.

use super::editor::Editor;
use crate::onnx::node::Node;

pub(super) fn pads(editor: &mut Editor, node: &Node) -> Option<Vec<Node>> {
    if node.op != "Conv" || !matches!(node.text_or("auto_pad", "NOTSET").ok()?, "NOTSET" | "VALID") {
        return None;
    }
    let pad = editor.made_by(node.input(0)?, "Pad")?;
    let image = pad.input(0)?;
    let rank = editor.shape(image)?.len();
    let is_zero = pad.input(2).is_none_or(|fill| editor.scalar(fill) == Some(0.0)) && pad.float_or("value", 0.0).ok()? == 0.0;
    if pad.text_or("mode", "constant").ok()? != "constant" || !is_zero || pad.input(3).is_some() {
        return None;
    }
    let added = match pad.input(1) {
        Some(pads) => editor.constant(pads)?.i64()?.to_vec(),
        None => pad.ints("pads").ok()??.to_vec(),
    };
    let is_around_image = |(at, &pad): (usize, &i64)| if at % rank < 2 { pad == 0 } else { pad >= 0 };
    if added.len() != 2 * rank || !added.iter().enumerate().all(is_around_image) {
        return None;
    }
    let around = added[2..rank].iter().chain(&added[rank + 2..]);
    let own = node.ints("pads").ok()?.map_or_else(|| vec![0; 2 * (rank - 2)], <[i64]>::to_vec);
    let sums = around.zip(&own).map(|(added, own)| added.checked_add(*own)).collect::<Option<Vec<_>>>()?;
    let mut padded = node.clone().with_ints("pads", sums).without("auto_pad");
    padded.inputs[0] = Some(image);
    Some(vec![padded])
}
