//! Functions of two or more elements, with broadcasting.

use super::elements::{OfTwo, combine, stretched};
use crate::onnx::call::{Call, Fact, Output, Outputs};
use crate::onnx::fault::{Fault, wrong};
use crate::onnx::strided::broadcast;
use crate::onnx::value::{Data, Kind};

/// The shape that inputs broadcast to.
fn common(inputs: &[Fact]) -> Result<Vec<usize>, Fault> {
    let mut shape = Vec::new();
    for input in inputs {
        shape = match broadcast(&shape, input.shape) {
            Some(shape) => shape,
            None => return wrong(format!("its inputs' shapes {:?} do not fit each other", shapes(inputs))),
        };
    }
    Ok(shape)
}

fn shapes<'a>(inputs: &[Fact<'a>]) -> Vec<&'a [usize]> {
    inputs.iter().map(|input| input.shape).collect()
}

/// Two inputs and the shape that they broadcast to.
struct Pair<'a> {
    a: Fact<'a>,
    b: Fact<'a>,
    /// The second input's shape, which an attribute may have aligned to another axis than the last.
    other: Vec<usize>,
    shape: Vec<usize>,
}

impl<'a> Pair<'a> {
    fn of(call: &Call<'a>) -> Result<Self, Fault> {
        let (a, b) = (call.input(0)?, call.input(1)?);
        let mut other = b.shape.to_vec();
        if let (true, Some(axis)) = (call.opset < 7, call.node.int("axis")?) {
            let axis = a.axis(axis)?;
            other.resize(a.rank().saturating_sub(axis).max(other.len()), 1);
        }
        let shape = common(&[a, Fact::shaped(&other, b.kind)])?;
        Ok(Self { a, b, other, shape })
    }

    fn combine<A: Copy, B: Copy, C>(&self, x: &[A], y: &[B], function: impl Fn(A, B) -> C) -> Vec<C> {
        combine((x, self.a.shape), (y, &self.other), &self.shape, function)
    }
}

fn mixed<T>(a: &Data, b: &Data) -> Result<T, Fault> {
    wrong(format!("it is given {:?} and {:?}", a.kind(), b.kind()))
}

/// Arithmetic on two tensors.
pub(super) fn arithmetic<'a>(call: &Call<'a>) -> Outputs<'a> {
    let pair = Pair::of(call)?;
    let (float, int): OfTwo = match call.node.op.as_str() {
        "Add" => (|a, b| a + b, i64::wrapping_add),
        "Sub" => (|a, b| a - b, i64::wrapping_sub),
        "Mul" => (|a, b| a * b, i64::wrapping_mul),
        "Div" => (|a, b| a / b, i64::wrapping_div),
        // Of floating-point numbers only the remainder with the sign of the dividend is defined.
        _ if call.node.flag("fmod", false)? => (|a, b| a % b, i64::wrapping_rem),
        _ => (
            |a, b| {
                let rest = a % b;
                if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
            },
            |a, b| a.wrapping_rem(b).wrapping_add(b).wrapping_rem(b),
        ),
    };
    let divides = matches!(call.node.op.as_str(), "Div" | "Mod");
    Output::only(pair.shape.clone(), pair.a.kind, move || match (pair.a.data()?, pair.b.data()?) {
        (Data::F32(x), Data::F32(y)) => Ok(Data::F32(pair.combine(x, y, float))),
        (Data::I64(_), Data::I64(y)) if divides && y.contains(&0) => wrong("it divides a whole number by 0"),
        (Data::I64(x), Data::I64(y)) => Ok(Data::I64(pair.combine(x, y, int))),
        (x, y) => mixed(x, y),
    })
}

/// Powers; the exponent may be of another kind.
pub(super) fn power<'a>(call: &Call<'a>) -> Outputs<'a> {
    let pair = Pair::of(call)?;
    let exact = |x: i64, y: i64| match u32::try_from(y) {
        Ok(exponent) => x.wrapping_pow(exponent),
        Err(_) => (x as f64).powf(y as f64) as i64,
    };
    Output::only(pair.shape.clone(), pair.a.kind, move || match (pair.a.data()?, pair.b.data()?) {
        (Data::F32(x), Data::F32(y)) => Ok(Data::F32(pair.combine(x, y, |x: f32, y| match y {
            2.0 => x * x,
            _ => x.powf(y),
        }))),
        (Data::F32(x), Data::I64(y)) => Ok(Data::F32(pair.combine(x, y, |x: f32, y| x.powf(y as f32)))),
        (Data::I64(x), Data::F32(y)) => Ok(Data::I64(pair.combine(x, y, |x, y: f32| (x as f64).powf(y.into()) as i64))),
        (Data::I64(x), Data::I64(y)) => Ok(Data::I64(pair.combine(x, y, exact))),
        (x, y) => mixed(x, y),
    })
}

type Comparison = (fn(f32, f32) -> bool, fn(i64, i64) -> bool);

pub(super) fn compare<'a>(call: &Call<'a>) -> Outputs<'a> {
    let pair = Pair::of(call)?;
    let (float, int): Comparison = match call.node.op.as_str() {
        "Equal" => (|a, b| a == b, |a, b| a == b),
        "Less" => (|a, b| a < b, |a, b| a < b),
        "LessOrEqual" => (|a, b| a <= b, |a, b| a <= b),
        "Greater" => (|a, b| a > b, |a, b| a > b),
        _ => (|a, b| a >= b, |a, b| a >= b),
    };
    let is_equal = call.node.op == "Equal";
    Output::only(pair.shape.clone(), Kind::Bool, move || match (pair.a.data()?, pair.b.data()?) {
        (Data::F32(x), Data::F32(y)) => Ok(Data::Bool(pair.combine(x, y, float))),
        (Data::I64(x), Data::I64(y)) => Ok(Data::Bool(pair.combine(x, y, int))),
        (Data::Bool(x), Data::Bool(y)) if is_equal => Ok(Data::Bool(pair.combine(x, y, |a, b| a == b))),
        (x, y) => mixed(x, y),
    })
}

/// Connectives of truth values.
pub(super) fn connect<'a>(call: &Call<'a>) -> Outputs<'a> {
    let pair = Pair::of(call)?;
    let connective: fn(bool, bool) -> bool = match call.node.op.as_str() {
        "And" => |a, b| a && b,
        "Or" => |a, b| a || b,
        _ => |a, b| a != b,
    };
    Output::only(pair.shape.clone(), Kind::Bool, move || Ok(Data::Bool(pair.combine(pair.a.bool()?, pair.b.bool()?, connective))))
}

/// Negative numbers times a slope, which broadcasts to the input's shape.
pub(super) fn prelu<'a>(call: &Call<'a>) -> Outputs<'a> {
    let (x, slope) = (call.floats(0)?, call.floats(1)?);
    // Some exporters give one slope a channel as a list, which would belong to the last axis.
    let is_listed = slope.rank() == 1 && x.rank() > 2 && slope.shape[0] == x.shape[1];
    let per_channel = is_listed && (call.opset < 7 || slope.shape[0] != x.shape[x.rank() - 1]);
    let mut slopes = slope.shape.to_vec();
    if per_channel {
        slopes.resize(x.rank() - 1, 1);
    }
    if broadcast(x.shape, &slopes).is_none_or(|shape| shape != x.shape) {
        return wrong(format!("its slopes of shape {:?} do not fit its input's {:?}", slope.shape, x.shape));
    }
    let leak = |x: f32, slope: f32| if x < 0.0 { slope * x } else { x };
    Output::floats(x.shape.to_vec(), move || Ok(combine((x.f32()?, x.shape), (slope.f32()?, &slopes), x.shape, leak)))
}

/// Sums, means and extremes of any number of tensors.
pub(super) fn variadic<'a>(call: &Call<'a>) -> Outputs<'a> {
    let inputs = (0..call.inputs.len()).map(|number| call.input(number)).collect::<Result<Vec<_>, _>>()?;
    let shape = common(&inputs)?;
    let (float, int): OfTwo = match call.node.op.as_str() {
        "Max" => (|a, b| if a > b || a.is_nan() { a } else { b }, |a, b| a.max(b)),
        "Min" => (|a, b| if a < b || a.is_nan() { a } else { b }, |a, b| a.min(b)),
        _ => (|a, b| a + b, i64::wrapping_add),
    };
    let share = if call.node.op == "Mean" { 1.0 / inputs.len() as f32 } else { 1.0 };
    Output::only(shape.clone(), call.input(0)?.kind, move || {
        let mut result = stretched(inputs[0], &shape)?;
        for input in &inputs[1..] {
            result = match (&result, input.data()?) {
                (Data::F32(a), Data::F32(b)) => Data::F32(combine((a, &shape), (b, input.shape), &shape, float)),
                (Data::I64(a), Data::I64(b)) => Data::I64(combine((a, &shape), (b, input.shape), &shape, int)),
                (a, b) => return mixed(a, b),
            };
        }
        if let (Data::F32(result), true) = (&mut result, share < 1.0) {
            result.iter_mut().for_each(|value| *value *= share);
        }
        Ok(result)
    })
}

/// One of two tensors' elements, as truth values say.
pub(super) fn select<'a>(call: &Call<'a>) -> Outputs<'a> {
    let (condition, a, b) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let shape = common(&[condition, a, b])?;
    Output::only(shape.clone(), a.kind, move || {
        let Data::Bool(condition) = stretched(condition, &shape)? else { return wrong("its condition is no truth value") };
        let mut result = stretched(b, &shape)?;
        let chosen = condition.iter().enumerate().filter(|(_, is_chosen)| **is_chosen).map(|(place, _)| (place, place));
        result.put(&stretched(a, &shape)?, chosen)?;
        Ok(result)
    })
}
