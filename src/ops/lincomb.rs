//! Linear combinations of tensors: scheduler steps, guidance, residuals, casts and activations on their own.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::kernel::params;
use crate::gpu::{Arg, Cost, Element, Kernel, Recorder, Slot, Tensor};
use crate::ops::{activation::ACTIVATIONS, activation::Activation};

const FLAT: &[Element] = &[Element::F32x4, Element::F16x4];
const FLAT_OPTIONAL: &[Element] = &[Element::Absent, Element::F32x4, Element::F16x4];

pub static LINCOMB: Kernel = Kernel {
    slots: &[
        Slot::read("x0", FLAT),
        Slot::read("x1", FLAT_OPTIONAL),
        Slot::read("x2", FLAT_OPTIONAL),
        Slot::read("x3", FLAT_OPTIONAL),
        Slot::read("x4", FLAT_OPTIONAL),
        Slot::read("x5", FLAT_OPTIONAL),
        Slot::read("x6", FLAT_OPTIONAL),
        Slot::write("out", FLAT),
    ],
    variants: &[&[("ACT", ACTIVATIONS)]],
    ..Kernel::of("lincomb", include_str!("../../wgsl/lincomb.wgsl"), size_of::<Params>())
};

/// Inputs that one combination may have, so that a stage stays within eight storage buffers with its output.
pub const MOST_TERMS: usize = 7;

params!(Params { count: u32, constant: f32, coefficients: [f32; MOST_TERMS] });

/// The sum of coefficient times tensor over one to [`MOST_TERMS`] terms, all of one shape, as `dtype`.
pub fn lincomb(rec: &mut Recorder, terms: &[(f64, &Tensor)], dtype: DType) -> Result<Tensor> {
    combine(rec, terms, 0.0, Activation::None, dtype)
}

/// The activation of x, as `dtype`.
pub fn activate(rec: &mut Recorder, x: &Tensor, activation: Activation, dtype: DType) -> Result<Tensor> {
    combine(rec, &[(1.0, x)], 0.0, activation, dtype)
}

/// a + b, in f32.
pub fn add(rec: &mut Recorder, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    lincomb(rec, &[(1.0, a), (1.0, b)], DType::F32)
}

/// The activation of a linear combination plus a constant.
pub fn combine(rec: &mut Recorder, terms: &[(f64, &Tensor)], constant: f64, activation: Activation, dtype: DType) -> Result<Tensor> {
    let Some((_, first)) = terms.first() else { return Err(Error::Input("a combination of nothing".into())) };
    if terms.len() > MOST_TERMS {
        return Err(Error::Unsupported(format!("a combination of {} tensors, at most {MOST_TERMS}", terms.len())));
    }
    if let Some((_, other)) = terms.iter().find(|(_, tensor)| tensor.shape() != first.shape()) {
        return Err(Error::Input(format!("a combination of shapes {:?} and {:?}", first.shape(), other.shape())));
    }
    let out = rec.alloc(first.shape(), dtype)?;
    let mut params = Params { count: first.len() as u32, constant: constant as f32, coefficients: [0.0; MOST_TERMS] };
    let mut args = [Arg::ABSENT; MOST_TERMS + 1];
    for (i, (coefficient, tensor)) in terms.iter().enumerate() {
        params.coefficients[i] = *coefficient as f32;
        args[i] = Arg::flat(tensor);
    }
    args[MOST_TERMS] = Arg::flat(&out);
    let cost = Cost::of((2 * terms.len() * out.len()) as f64, &args);
    rec.dispatch(&LINCOMB, &[("ACT", activation as u32)], &params, &args, first.len().div_ceil(256), cost)?;
    Ok(out)
}
