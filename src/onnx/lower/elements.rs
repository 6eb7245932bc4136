//! Functions of one and of two elements.

use super::laid::Laid;
use super::run::Run;
use super::weights::Weights;
use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::Recorder;
use crate::gpu::Tensor;
use crate::onnx::node::Node;
use crate::ops::Activation;
use crate::ops::binary::{Function as Binary, binary};
use crate::ops::lincomb::activate;
use crate::ops::unary::{Function as Unary, unary};

pub(super) fn lower(run: &Run, rec: &mut Recorder, node: &Node, _: &Weights) -> Result<Option<Vec<Laid>>> {
    let Some(value) = node.input(0).filter(|&value| run.shape(value).is_some()) else { return Ok(None) };
    if let Some(activation) = activation(node) {
        let x = run.gpu(rec, value)?;
        let tensor = activate(rec, &x.tensor, activation, DType::F32)?;
        return Ok(Some(vec![Laid { tensor, order: x.order }]));
    }
    if let Some(function) = function(run, rec, node)? {
        let x = run.gpu(rec, value)?;
        let tensor = unary(rec, &x.tensor, function)?;
        return Ok(Some(vec![Laid { tensor, order: x.order }]));
    }
    match (of_two(&node.op), node.input(1).filter(|&value| run.shape(value).is_some())) {
        (Some(function), Some(other)) if node.inputs.len() == 2 && run.graph.opset >= 7 => {
            let (a, b) = (run.gpu(rec, value)?, run.gpu(rec, other)?);
            combine(rec, &a, &b, function).map(|made| made.map(|made| vec![made]))
        }
        _ => Ok(None),
    }
}

fn activation(node: &Node) -> Option<Activation> {
    Some(match node.op.as_str() {
        "Swish" if node.float_or("alpha", 1.0).is_ok_and(|alpha| alpha == 1.0) => Activation::Silu,
        "Relu" => Activation::Relu,
        "Sigmoid" => Activation::Sigmoid,
        "HardSwish" => Activation::HardSwish,
        "Gelu" if node.text_or("approximate", "none").is_ok_and(|how| how == "none") => Activation::GeluErf,
        "Gelu" => Activation::GeluTanh,
        _ => return None,
    })
}

fn function(run: &Run, rec: &mut Recorder, node: &Node) -> Result<Option<Unary>> {
    let float = |name, default| node.float_or(name, default).unwrap_or(default);
    Ok(Some(match node.op.as_str() {
        "Tanh" => Unary::Tanh,
        "Exp" => Unary::Exp,
        "Sqrt" => Unary::Sqrt,
        "Erf" => Unary::Erf,
        "Softplus" => Unary::Softplus,
        "Mish" => Unary::Mish,
        "Abs" => Unary::Abs,
        "Neg" => Unary::Affine(-1.0, 0.0),
        "Reciprocal" => Unary::Reciprocal,
        "LeakyRelu" => Unary::LeakyRelu(float("alpha", 0.01)),
        "HardSigmoid" => Unary::HardSigmoid(float("alpha", 0.2), float("beta", 0.5)),
        "Clip" => {
            let mut bound = |number: usize, name: &str, default: f32| match node.input(number) {
                Some(value) => Ok(run.host(rec, value)?.f32().and_then(|bound| bound.first().copied()).unwrap_or(default)),
                None => Ok(node.float_or(name, default).unwrap_or(default)),
            };
            let (low, high) = (bound(1, "min", f32::MIN)?, bound(2, "max", f32::MAX)?);
            if low > high {
                return Ok(None);
            }
            Unary::Clip(low, high)
        }
        _ => return Ok(None),
    }))
}

fn of_two(op: &str) -> Option<Binary> {
    Some(match op {
        "Add" | "Sum" => Binary::Add,
        "Sub" => Binary::Sub,
        "Mul" => Binary::Mul,
        "Div" => Binary::Div,
        "Min" => Binary::Min,
        "Max" => Binary::Max,
        "PRelu" => Binary::Leaky,
        _ => return None,
    })
}

/// In the order of the tensor of more axes and elements.
fn combine(rec: &mut Recorder, a: &Laid, b: &Laid, function: Binary) -> Result<Option<Laid>> {
    let rank = a.order.len().max(b.order.len());
    let leading = if a.order.len() < rank || a.order.len() == b.order.len() && a.tensor.len() < b.tensor.len() { b } else { a };
    let order = leading.order.clone();
    let mut aligned = |laid: &Laid| -> Result<Tensor> {
        // Axes of one element before its own.
        laid.with_axes_before(rank - laid.order.len()).ordered(rec, &order)
    };
    let (a, b) = (aligned(a)?, aligned(b)?);
    Ok(Some(Laid { tensor: binary(rec, &a, &b, function)?, order }))
}
