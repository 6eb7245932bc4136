//! Functions of one element.

use std::f32::consts::{FRAC_1_SQRT_2, PI};

use crate::cores::on_all_cores;
use crate::onnx::call::{Call, Output, Outputs};
use crate::onnx::fault::{Fault, wrong};
use crate::onnx::value::{Data, Kind};

/// A function of one floating-point number, of many at a time.
pub(super) type Function = Box<dyn Fn(&mut [f32]) + Sync>;

/// Elements that one core works on at a time, and operations that an element may take.
const PART: usize = 1 << 14;
const OPERATIONS: usize = 16;

/// A function of one number, for many.
fn each(function: impl Fn(f32) -> f32 + Sync + 'static) -> Function {
    Box::new(move |values| values.iter_mut().for_each(|x| *x = function(*x)))
}

/// An operator that applies a function to each element of its input.
pub(super) fn map<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.floats(0)?;
    let function = function(call)?;
    Output::floats(x.shape.to_vec(), move || {
        let mut values = x.f32()?.to_vec();
        apply(&function, &mut values);
        Ok(values)
    })
}

fn apply(function: &Function, values: &mut [f32]) {
    on_all_cores(OPERATIONS * values.len(), values.chunks_mut(PART).collect(), function);
}

fn function(call: &Call) -> Result<Function, Fault> {
    plain(&call.node.op).map_or_else(|| with_settings(call), Ok)
}

/// The function that a fused node calls so.
pub(super) fn activation(name: &str) -> Option<Function> {
    Some(match name {
        "Relu" => each(|x: f32| if x < 0.0 { 0.0 } else { x }),
        "Relu6" => each(|x: f32| x.clamp(0.0, 6.0)),
        "Swish" => each(|x: f32| x * sigmoid(x)),
        "Gelu" => each(|x: f32| 0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2))),
        _ => return plain(name),
    })
}

fn plain(op: &str) -> Option<Function> {
    Some(match op {
        "Ceil" => each(f32::ceil),
        "Floor" => each(f32::floor),
        "Round" => each(f32::round_ties_even),
        "Sqrt" => each(f32::sqrt),
        "Exp" => each(f32::exp),
        "Log" => each(f32::ln),
        "Reciprocal" => each(f32::recip),
        "Erf" => each(erf),
        "Sin" => each(f32::sin),
        "Cos" => each(f32::cos),
        "Tan" => each(f32::tan),
        "Asin" => each(f32::asin),
        "Acos" => each(f32::acos),
        "Atan" => each(f32::atan),
        "Sinh" => each(f32::sinh),
        "Cosh" => each(f32::cosh),
        "Asinh" => each(|x: f32| f64::from(x).asinh() as f32),
        "Acosh" => each(|x: f32| f64::from(x).acosh() as f32),
        "Atanh" => each(|x: f32| f64::from(x).atanh() as f32),
        "Tanh" => each(f32::tanh),
        "Sigmoid" => each(sigmoid),
        "Softplus" => each(softplus),
        "Softsign" => each(|x: f32| x / (1.0 + x.abs())),
        "HardSwish" => each(|x: f32| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
        "Mish" => each(|x: f32| x * softplus(x).tanh()),
        _ => return None,
    })
}

/// Functions that attributes change.
fn with_settings(call: &Call) -> Result<Function, Fault> {
    let node = call.node;
    let alpha = |default| node.float_or("alpha", default);
    Ok(match node.op.as_str() {
        "LeakyRelu" => alpha(0.01).map(|alpha| each(move |x: f32| if x < 0.0 { alpha * x } else { x }))?,
        "Elu" => alpha(1.0).map(|alpha| each(move |x: f32| if x < 0.0 { alpha * x.exp_m1() } else { x }))?,
        "Celu" => alpha(1.0).map(|alpha| each(move |x: f32| x.max(0.0) + (alpha * (x / alpha).exp_m1()).min(0.0)))?,
        "ThresholdedRelu" => alpha(1.0).map(|alpha| each(move |x| if x > alpha { x } else { 0.0 }))?,
        "Swish" => alpha(1.0).map(|alpha| each(move |x: f32| x * sigmoid(alpha * x)))?,
        "Selu" => {
            let (alpha, gamma) = (alpha(1.673_263_2)?, node.float_or("gamma", 1.050_701)?);
            each(move |x| gamma * if x > 0.0 { x } else { alpha * x.exp_m1() })
        }
        "HardSigmoid" => {
            let (alpha, beta) = (alpha(0.2)?, node.float_or("beta", 0.5)?);
            each(move |x| (alpha * x + beta).clamp(0.0, 1.0))
        }
        "Shrink" => {
            let (bias, lambda) = (node.float_or("bias", 0.0)?, node.float_or("lambd", 0.5)?);
            each(move |x| if x < -lambda { x + bias } else { if x > lambda { x - bias } else { 0.0 } })
        }
        "Gelu" => match node.text_or("approximate", "none")? {
            "none" => each(|x| 0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2))),
            "tanh" => each(|x| 0.5 * x * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044715 * x * x * x)).tanh())),
            other => return wrong(format!("there is no approximation `{other}`")),
        },
        op => return wrong(format!("{op} is no function of one element")),
    })
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The error function, by its series of positive terms.
fn erf(x: f32) -> f32 {
    let x = f64::from(x);
    // Beyond, 1 is nearest in single precision.
    if x.abs() >= 4.0 || x.is_nan() {
        return if x.is_nan() { f32::NAN } else { x.signum() as f32 };
    }
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while term.abs() > 1e-9 * sum.abs() {
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
        n += 1.0;
    }
    (std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum) as f32
}

/// The same function of a floating-point number and of an integer.
type OfOne = (Function, fn(i64) -> i64);

/// An operator that works on integers too.
pub(super) fn map_any<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    let (float, int): OfOne = match call.node.op.as_str() {
        "Abs" => (each(f32::abs), i64::wrapping_abs),
        "Neg" => (each(|x| -x), i64::wrapping_neg),
        "Sign" => (each(|x| if x == 0.0 || x.is_nan() { x } else { x.signum() }), i64::signum),
        _ => (each(|x| if x < 0.0 { 0.0 } else { x }), |x| x.max(0)),
    };
    Output::only(x.shape.to_vec(), x.kind, move || match x.data()? {
        Data::F32(x) => {
            let mut values = x.clone();
            apply(&float, &mut values);
            Ok(Data::F32(values))
        }
        Data::I64(x) => Ok(Data::I64(x.iter().map(|&x| int(x)).collect())),
        Data::Bool(_) => wrong("it is given truth values where numbers belong"),
    })
}

/// The inverse of truth values.
pub(super) fn not<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    Output::only(x.shape.to_vec(), Kind::Bool, move || Ok(Data::Bool(x.bool()?.iter().map(|x| !x).collect())))
}

/// Whether elements are infinite or no numbers.
pub(super) fn is_special<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.floats(0)?;
    let (negative, positive) = (call.node.flag("detect_negative", true)?, call.node.flag("detect_positive", true)?);
    let is_nan = call.node.op == "IsNaN";
    let test = move |x: f32| match is_nan {
        true => x.is_nan(),
        false => x == f32::INFINITY && positive || x == f32::NEG_INFINITY && negative,
    };
    Output::only(x.shape.to_vec(), Kind::Bool, move || Ok(Data::Bool(x.f32()?.iter().map(|&x| test(x)).collect())))
}

/// Numbers held between two bounds, which are attributes or inputs.
pub(super) fn clip<'a>(call: &Call<'a>) -> Outputs<'a> {
    let x = call.input(0)?;
    let (low, high) = (call.given(1), call.given(2));
    let attributes = (call.node.float("min")?, call.node.float("max")?);
    for bound in [low, high].into_iter().flatten() {
        if bound.count() != 1 || bound.kind != x.kind {
            return wrong(format!("a bound of shape {:?} is not one number like its input's", bound.shape));
        }
    }
    Output::only(x.shape.to_vec(), x.kind, move || match x.data()? {
        Data::F32(x) => {
            let low = low.map(|low| low.f32()).transpose()?.map(|low| low[0]).or(attributes.0).unwrap_or(f32::NEG_INFINITY);
            let high = high.map(|high| high.f32()).transpose()?.map(|high| high[0]).or(attributes.1).unwrap_or(f32::INFINITY);
            // The upper bound wins where they cross, and what is no number stays so.
            let held = |x: f32| if x.is_nan() { x } else { x.max(low).min(high) };
            Ok(Data::F32(x.iter().map(|&x| held(x)).collect()))
        }
        Data::I64(x) => {
            let low = low.map(|low| low.i64()).transpose()?.map_or(i64::MIN, |low| low[0]);
            let high = high.map(|high| high.i64()).transpose()?.map_or(i64::MAX, |high| high[0]);
            Ok(Data::I64(x.iter().map(|&x| x.max(low).min(high)).collect()))
        }
        Data::Bool(_) => wrong("it is given truth values where numbers belong"),
    })
}
