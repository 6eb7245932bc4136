//! Products element by element, as gated activations have them.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::kernel::params;
use crate::gpu::{Arg, Cost, Element, Kernel, Recorder, Slot, Tensor};
use crate::ops::{activation::ACTIVATIONS, activation::Activation};

const FLAT: &[Element] = &[Element::F32x4, Element::F16x4];

pub static ELEMENTWISE: Kernel = Kernel {
    slots: &[Slot::read("a", FLAT), Slot::read("b", FLAT), Slot::write("out", FLAT)],
    variants: &[&[("ACT", ACTIVATIONS)]],
    ..Kernel::of("elementwise", include_str!("../../wgsl/elementwise.wgsl"), size_of::<Params>())
};

params!(Params { count: u32 });

/// activation(a) * b, both of one shape, as `dtype`.
pub fn gated(rec: &mut Recorder, a: &Tensor, activation: Activation, b: &Tensor, dtype: DType) -> Result<Tensor> {
    if a.shape() != b.shape() {
        return Err(Error::Input(format!("a product of shapes {:?} and {:?}", a.shape(), b.shape())));
    }
    let out = rec.alloc(a.shape(), dtype)?;
    let args = [Arg::flat(a), Arg::flat(b), Arg::flat(&out)];
    let params = Params { count: a.len() as u32 };
    rec.dispatch(
        &ELEMENTWISE,
        &[("ACT", activation as u32)],
        &params,
        &args,
        a.len().div_ceil(256),
        Cost::of(2.0 * a.len() as f64, &args),
    )?;
    Ok(out)
}
