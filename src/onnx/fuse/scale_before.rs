//! Scales and shifts of channels before a convolution without padding: other weights.

use super::editor::Editor;
use crate::onnx::node::Node;
use crate::onnx::value::{Data, Value};

pub(super) fn scale_before(editor: &mut Editor, node: &Node) -> Option<Vec<Node>> {
    let is_whole = node.ints("pads").ok()?.is_none_or(|pads| pads.iter().all(|&pad| pad == 0));
    if node.op != "Conv" || !is_whole || !matches!(node.text_or("auto_pad", "NOTSET").ok()?, "NOTSET" | "VALID") {
        return None;
    }
    let scaled = node.input(0)?;
    let (factors, shifts, x) = by_channel(editor, editor.made_by(scaled, "Conv")?).filter(|_| editor.is_used_once(scaled))?;
    let weight = editor.constant(node.input(1)?)?;
    let &[outputs, inputs, ..] = weight.shape() else { return None };
    let taps: usize = weight.shape()[2..].iter().product();
    let each = outputs / usize::try_from(node.int_or("group", 1).ok()?).ok().filter(|&group| group * inputs == factors.len())?;
    let mut bias = match node.input(2) {
        Some(bias) => editor.constant(bias)?.f32()?.to_vec(),
        None => vec![0.0; outputs],
    };
    let mut weights = weight.f32()?.to_vec();
    for (at, taps) in weights.chunks_exact_mut(taps).enumerate() {
        let (output, channel) = (at / inputs, at / inputs / each * inputs + at % inputs);
        bias[output] += shifts[channel] * taps.iter().sum::<f32>();
        taps.iter_mut().for_each(|tap| *tap *= factors[channel]);
    }
    let weight = editor.add_constant(Value::new(weight.shape(), Data::F32(weights)));
    let bias = editor.add_constant(Value::new(&[outputs], Data::F32(bias)));
    let mut folded = node.clone();
    folded.inputs = vec![Some(x), Some(weight), Some(bias)];
    Some(vec![folded])
}

/// Factors and shifts of the channels of what a convolution of single pixels, each channel by itself, takes.
fn by_channel(editor: &Editor, conv: &Node) -> Option<(Vec<f32>, Vec<f32>, usize)> {
    let (x, weight) = (conv.input(0)?, editor.constant(conv.input(1)?)?);
    let channels = *editor.shape(x)?.get(1)?;
    let is_alone = weight.shape()[0] == channels && weight.shape()[1..].iter().all(|&extent| extent == 1);
    // Of the same extents, so that it neither pads nor leaves pixels out.
    if !is_alone || conv.int_or("group", 1).ok()? != channels as i64 || editor.shape(x)? != editor.shape(conv.output()?)? {
        return None;
    }
    let shifts = match conv.input(2) {
        Some(bias) => editor.constant(bias)?.f32()?.to_vec(),
        None => vec![0.0; channels],
    };
    Some((weight.f32()?.to_vec(), shifts, x))
}
