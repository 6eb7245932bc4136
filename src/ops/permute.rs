//! Reordering of axes: patches to tokens and back, channels first to channels last and back.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::kernel::params;
use crate::gpu::{Arg, Cost, Element, Kernel, Recorder, Slot, Tensor};

const FLAT: &[Element] = &[Element::F32x4, Element::F16x4];

pub static PERMUTE: Kernel = Kernel {
    slots: &[Slot::read("x", FLAT), Slot::write("out", FLAT)],
    ..Kernel::of("permute", include_str!("../../wgsl/permute.wgsl"), size_of::<Params>())
};

/// Axes that a permutation may have.
pub const MOST_AXES: usize = 6;

params!(Params { count: u32, sizes: [u32; MOST_AXES - 1], strides: [u32; MOST_AXES] });

/// x with its axes in the order `axes`: axis i of the result is axis `axes[i]` of x. Up to [`MOST_AXES`] axes.
pub fn permute(rec: &mut Recorder, x: &Tensor, axes: &[usize], dtype: DType) -> Result<Tensor> {
    let shape = x.shape();
    let mut sorted = axes.to_vec();
    sorted.sort_unstable();
    if axes.len() > MOST_AXES || !sorted.into_iter().eq(0..shape.len()) {
        return Err(Error::Input(format!("axes {axes:?} are no order of the axes of {shape:?}")));
    }
    let out_shape: Vec<_> = axes.iter().map(|&axis| shape[axis]).collect();
    let out = rec.alloc(&out_shape, dtype)?;
    // Missing axes stand in front, with size 1.
    let missing = MOST_AXES - axes.len();
    let mut params = Params { count: x.len() as u32, sizes: [1; MOST_AXES - 1], strides: [0; MOST_AXES] };
    for (i, &axis) in axes.iter().enumerate() {
        params.strides[missing + i] = shape[axis + 1..].iter().product::<usize>() as u32;
        if missing + i > 0 {
            params.sizes[missing + i - 1] = shape[axis] as u32;
        }
    }
    let args = [Arg::flat(x), Arg::flat(&out)];
    rec.dispatch(&PERMUTE, &[], &params, &args, x.len().div_ceil(256), Cost::of(0.0, &args))?;
    Ok(out)
}
