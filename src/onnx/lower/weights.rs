//! What nodes need on the GPU before they run.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::Device;
use crate::gpu::Tensor;
use crate::gpu::arena::bytes_of;
use crate::gpu::sink::Sink;
use crate::onnx::call::{Call, Fact};
use crate::onnx::graph::Graph;
use crate::onnx::host::window::{Slide, Window as Slides};
use crate::onnx::node::Node;
use crate::onnx::tensor::Constant;
use crate::onnx::value::Kind;
use crate::ops::conv::ConvWeight;
use crate::ops::matrix::Matrix;
use crate::ops::window::Window;

pub(super) enum Weights {
    /// None, or none in a form of its own.
    None,
    Conv {
        weight: ConvWeight,
        bias: Option<Tensor>,
        window: Window,
    },
    Channelwise {
        weight: Tensor,
        bias: Option<Tensor>,
        window: Window,
    },
    /// A transposed convolution as one to as many times the channels, which become blocks of this size.
    Shuffled {
        weight: ConvWeight,
        bias: Option<Tensor>,
        block: usize,
    },
    Linear {
        weight: Matrix,
        bias: Option<Tensor>,
    },
}

impl Weights {
    pub(super) fn load(graph: &Graph, node: &Node, device: &Device) -> Result<Self> {
        let loaded = match node.op.as_str() {
            "Conv" | "FusedConv" => conv(graph, node, device)?,
            "ConvTranspose" => conv_transpose(graph, node, device)?,
            "Linear" | "MatMul" => linear(graph, node, device, false)?,
            "Gemm" => gemm(graph, node, device)?,
            _ => None,
        };
        Ok(loaded.unwrap_or(Self::None))
    }
}

/// A constant of floating-point numbers, by the number of an input.
fn constant<'a>(graph: &'a Graph, node: &Node, number: usize) -> Option<&'a Constant> {
    let constant = graph.constants.get(&node.input(number)?)?;
    (constant.kind() == Kind::F32 && !constant.shape().contains(&0)).then_some(constant)
}

fn floats(constant: &Constant) -> Vec<f32> {
    constant.value().f32().unwrap_or_default().to_vec()
}

/// Uploads numbers that are made when there is a GPU to hold them.
fn upload(device: &Device, label: &str, shape: &[usize], make: impl Fn() -> Vec<f32>) -> Result<Tensor> {
    let bytes = || Ok(bytemuck::cast_slice(&make()).to_vec().into());
    device.read(label, shape, DType::F32, bytes_of(shape, DType::F32)?, &bytes)
}

/// A constant of floating-point numbers as it is.
pub(super) fn plain(graph: &Graph, value: usize, device: &Device) -> Result<Option<Tensor>> {
    let constant = graph.constants.get(&value).filter(|constant| constant.kind() == Kind::F32 && !constant.shape().contains(&0));
    constant.map(|constant| upload(device, "constant", constant.shape(), || floats(constant))).transpose()
}

/// A node's bias, where it has one, repeated for each pixel of a block; `None` where it is no constant.
fn bias(graph: &Graph, node: &Node, device: &Device, times: usize) -> Result<Option<Option<Tensor>>> {
    match (node.input(2), constant(graph, node, 2)) {
        (None, _) => Ok(Some(None)),
        (Some(_), None) => Ok(None),
        (Some(_), Some(constant)) => {
            let len = constant.shape().iter().product::<usize>() * times;
            upload(device, "bias", &[len], || floats(constant).repeat(times)).map(|bias| Some(Some(bias)))
        }
    }
}

/// The window of a convolution or pool over images of two axes, where the kernels can do it.
pub(super) fn window(graph: &Graph, node: &Node) -> Option<Window> {
    let shape = |number| node.input(number).and_then(|value| graph.outline(value)).map(|outline| outline.shape.as_slice());
    let image = shape(0).filter(|shape| shape.len() == 4)?;
    let kernel = if node.op.ends_with("Conv") { Some(&shape(1)?[2..]) } else { None };
    let facts: Vec<Option<Fact>> = Vec::new();
    let call = Call { node, opset: graph.opset, inputs: &facts };
    let ceil = node.flag("ceil_mode", false).ok()?;
    let slides = Slides::of(&call, &image[2..], kernel, ceil).ok()?.axes;
    let both = |of: fn(&Slide) -> usize| [of(&slides[1]), of(&slides[2])];
    let pad = [1, 2].map(|axis| (slides[axis].pads[0], slides[axis].pads[1]));
    let window = Window { kernel: both(|slide| slide.kernel), stride: both(|slide| slide.stride), pad, places: both(|slide| slide.places) };
    (both(|slide| slide.dilation) == [1, 1] && window.check([image[2], image[3]]).is_ok()).then_some(window)
}

fn conv(graph: &Graph, node: &Node, device: &Device) -> Result<Option<Weights>> {
    let (Some(window), Some(weight)) = (window(graph, node), constant(graph, node, 1)) else { return Ok(None) };
    let (&[out, inner, h, w], group) = (weight.shape(), node.int_or("group", 1).unwrap_or(0)) else { return Ok(None) };
    // What the window leaves over at the end must be what the kernel leaves over too.
    let fits = |axis: usize| {
        let image = node.input(0).and_then(|value| graph.outline(value)).map_or(0, |outline| outline.shape[axis + 2]);
        let room = image + window.pad[axis].0 + window.pad[axis].1;
        room >= window.kernel[axis] && (room - window.kernel[axis]) / window.stride[axis] + 1 == window.places[axis]
    };
    let is_channelwise = group as usize == out && inner == 1 && group > 1;
    let is_dense = group == 1 && window.stride[0] == window.stride[1] && fits(0) && fits(1);
    if !is_channelwise && !is_dense {
        return Ok(None);
    }
    let Some(bias) = bias(graph, node, device, 1)? else { return Ok(None) };
    if is_channelwise {
        // [C, 1, H, W] to [H, W, C].
        let transposed = || {
            let values = floats(weight);
            (0..h * w).flat_map(|tap| values[tap..].iter().step_by(h * w).copied()).collect()
        };
        let weight = upload(device, "weight", &[h, w, out], transposed)?;
        return Ok(Some(Weights::Channelwise { weight, bias, window }));
    }
    let weight = ConvWeight::upload(device, "weight", [out, inner, 1, h, w], DType::F32, &|| Ok(floats(weight)))?;
    Ok(Some(Weights::Conv { weight, bias, window }))
}

/// Where the result is the image times the stride: each of a block's pixels is a convolution of the 3x3 pixels around one of the image.
fn conv_transpose(graph: &Graph, node: &Node, device: &Device) -> Result<Option<Weights>> {
    let (Some(weight), Some(block)) = (constant(graph, node, 1), block_of(graph, node)) else { return Ok(None) };
    let &[inputs, outputs, h, w] = weight.shape() else { return Ok(None) };
    let pads = node.ints("pads").ok().flatten().map_or([0; 4], |pads| std::array::from_fn(|at| pads[at]));
    // The first of a block reaches back, and the last on, over no more than one pixel of the image.
    let reaches = |pad: i64, kernel: usize| pad <= block && kernel as i64 <= pad + block + 1;
    if !reaches(pads[0], h) || !reaches(pads[1], w) {
        return Ok(None);
    }
    let pixels = (block * block) as usize;
    let Some(bias) = bias(graph, node, device, pixels)? else { return Ok(None) };
    let transposed = || Ok(blocks(&floats(weight), [inputs, outputs, h, w], pads, block));
    let weight = ConvWeight::upload(device, "weight", [outputs * pixels, inputs, 1, 3, 3], DType::F32, &transposed)?;
    Ok(Some(Weights::Shuffled { weight, bias, block: block as usize }))
}

/// Weights [inputs, outputs, h, w] of a transposed convolution as those [block, block, outputs, inputs, 3, 3] of a convolution.
fn blocks(values: &[f32], [inputs, outputs, h, w]: [usize; 4], pads: [i64; 4], block: i64) -> Vec<f32> {
    let mut transposed = Vec::with_capacity(outputs * inputs * 9 * (block * block) as usize);
    for at in 0..block * block * outputs as i64 {
        let (down, across, output) = (at / outputs as i64 / block, at / outputs as i64 % block, at as usize % outputs);
        for (input, tap) in (0..inputs).flat_map(|input| (0..9).map(move |tap| (input, tap))) {
            let (y, x) = (down + pads[0] - block * (tap / 3 - 1), across + pads[1] - block * (tap % 3 - 1));
            let is_inside = (0..h as i64).contains(&y) && (0..w as i64).contains(&x);
            transposed.push(if is_inside { values[((input * outputs + output) * h + y as usize) * w + x as usize] } else { 0.0 });
        }
    }
    transposed
}

/// The stride of a transposed convolution that multiplies the image's extents by it, and does nothing else that is special.
fn block_of(graph: &Graph, node: &Node) -> Option<i64> {
    let outline = |value: Option<usize>| graph.outline(value?).map(|outline| &outline.shape);
    let (image, result) = (outline(node.input(0))?, outline(node.output())?);
    let &[block, other] = node.ints("strides").ok()?? else { return None };
    let is_plain = node.int_or("group", 1).ok()? == 1 && node.text_or("auto_pad", "NOTSET").ok()? == "NOTSET" && !node.has("output_shape");
    let is_dense = node.ints("dilations").ok()?.is_none_or(|dilations| dilations == [1, 1]);
    let fits = block == other && image.len() == 4 && (2..4).all(|axis| result[axis] == image[axis] * block as usize);
    (is_plain && is_dense && fits).then_some(block)
}

/// A product with a constant matrix [in, out], or [out, in] where it is transposed already.
fn linear(graph: &Graph, node: &Node, device: &Device, is_transposed: bool) -> Result<Option<Weights>> {
    let Some(weight) = constant(graph, node, 1) else { return Ok(None) };
    let &[rows, cols] = weight.shape() else { return Ok(None) };
    let transposed = || {
        let values = floats(weight);
        let transposed: Vec<f32> = match is_transposed {
            true => values,
            false => (0..cols).flat_map(|col| values[col..].iter().step_by(cols).copied()).collect(),
        };
        Ok(bytemuck::cast_slice(&transposed).to_vec().into())
    };
    let shape = if is_transposed { [rows, cols] } else { [cols, rows] };
    let fits = node.input(2).is_none() || constant(graph, node, 2).is_some_and(|bias| bias.shape() == [shape[0]]);
    let Some(bias) = bias(graph, node, device, 1)?.filter(|_| fits) else { return Ok(None) };
    let weight = Matrix::upload(device, "weight", shape, DType::F32, &transposed)?;
    Ok(Some(Weights::Linear { weight, bias }))
}

fn gemm(graph: &Graph, node: &Node, device: &Device) -> Result<Option<Weights>> {
    let is_plain = [("alpha", 1.0), ("beta", 1.0)].iter().all(|(name, one)| node.float_or(name, 1.0).is_ok_and(|float| float == *one));
    match (is_plain && !node.flag("transA", false).unwrap_or(true), node.flag("transB", false)) {
        (true, Ok(is_transposed)) => linear(graph, node, device, is_transposed),
        _ => Ok(None),
    }
}
