//! Layer norm along the last axis, plain, with weights, or modulated by a time embedding.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::kernel::{READ, VECTOR_OPTIONAL, WRITE, params};
use crate::gpu::{Arg, Cost, Kernel, Recorder, Slot, Tensor};
use crate::ops::{
    operand::operand_dtype,
    rms_norm::{LANES, groups_of, lanes_of},
};
use crate::shape::Dims;

pub static LAYER_NORM: Kernel = Kernel {
    slots: &[Slot::read("x", READ), Slot::read("scale", VECTOR_OPTIONAL), Slot::read("shift", VECTOR_OPTIONAL), Slot::write("out", WRITE)],
    variants: &[&[("LANES", LANES)]],
    ..Kernel::of("layer_norm", include_str!("../../wgsl/layer_norm.wgsl"), size_of::<Params>())
};

params!(Params { rows: u32, cols: u32, eps: f32, unit: f32 });

/// What a norm multiplies and adds after normalising.
#[derive(Clone, Copy, Debug)]
pub enum Affine<'a> {
    None,
    /// weight `[C]` and bias `[C]`: n * weight + bias.
    Weights(&'a Tensor, &'a Tensor),
    /// scale `[C]` and shift `[C]` of a modulation: n * (1 + scale) + shift.
    Modulation(&'a Tensor, &'a Tensor),
}

/// x [L, C] to [L, C] as `dtype`. `eps` is added to the variance, which is that of the whole row (not the sample's).
pub fn layer_norm(rec: &mut Recorder, x: &Tensor, affine: Affine, eps: f32, dtype: DType) -> Result<Tensor> {
    let (unit, scale, shift) = match affine {
        Affine::None => (1.0, None, None),
        Affine::Weights(weight, bias) => (0.0, Some(weight), Some(bias)),
        Affine::Modulation(scale, shift) => (1.0, Some(scale), Some(shift)),
    };
    let dims = Dims::new().check("x", x, &["L", "C"])?.check_optional("scale", scale, &["C"])?.check_optional("shift", shift, &["C"])?;
    let out = rec.alloc(x.shape(), operand_dtype(dtype, x.cols()))?;
    let params = Params { rows: dims.get("L") as u32, cols: dims.get("C") as u32, eps, unit };
    let args = [Arg::rows(x), Arg::optional_rows(scale), Arg::optional_rows(shift), Arg::rows(&out)];
    let lanes = lanes_of(x.cols());
    rec.dispatch(&LAYER_NORM, &[("LANES", lanes)], &params, &args, groups_of(dims.get("L"), lanes), Cost::of(8.0 * x.len() as f64, &args))?;
    Ok(out)
}
