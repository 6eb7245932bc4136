//! Convolutions by cooperative matrices of f16, summed in f32.

use crate::error::{Error, Result};
use crate::gpu::kernel::{READ_OPTIONAL, VECTOR_OPTIONAL, WRITE};
use crate::gpu::{Element, Kernel, Needs, Recorder, Slot, family::Coop};
use crate::ops::conv::call::{Call, Params};
use crate::ops::finish::ALL_ACTIVATIONS;

/// A workgroup is `sm` by `sn` subgroups of `lanes`, a subgroup `fm` by FN fragments of `size` by `size`: 96 channels, which the VAEs have
/// multiples of, or 64. Arrays are declared by vec4s, or one by one. LX and LW are the vec4s of each operand that a lane carries.
const fn tile(size: u32, [sm, sn]: [u32; 2], fm: u32, channels: u32, lanes: u32, vec4s: u32) -> [(&'static str, u32); 11] {
    let [across, down] = [("SM", sm), ("SN", sn)];
    let [by_fours, pad] = [("VEC4_ARRAYS", vec4s), ("PAD", Coop::new(size, lanes, vec4s == 0).padding())];
    let [x, w] = [("LX", fm * size * 8 / (sn * lanes)), ("LW", channels * 8 / (sm * sn * lanes))];
    let all = ("WG", sm * sn * lanes);
    [("SIZE", size), across, down, ("FM", fm), ("FN", channels / (sn * size)), ("LANES", lanes), by_fours, pad, x, w, all]
}

const PAST: &[Element] = &[Element::Absent, Element::F32x4, Element::NativeF16x4];

pub static CONV_COOP: Kernel = Kernel {
    workgroup: 256,
    slots: &[
        Slot::read("x", &[Element::F32x4, Element::NativeF16x4]),
        Slot::read("past1", PAST),
        Slot::read("past2", PAST),
        Slot::read("w", &[Element::NativeF16x4]),
        Slot::read("bias", VECTOR_OPTIONAL),
        Slot::read("residual", READ_OPTIONAL),
        Slot::read("slope", VECTOR_OPTIONAL),
        Slot::write("out", WRITE),
    ],
    tiles: &[
        // NVIDIA.
        &tile(16, [4, 2], 2, 96, 32, 1),
        &tile(16, [4, 2], 2, 64, 32, 1),
        // AMD.
        &tile(16, [2, 2], 4, 96, 64, 1),
        &tile(16, [2, 2], 4, 64, 64, 1),
        // Apple.
        &tile(8, [4, 2], 2, 96, 32, 0),
        &tile(8, [4, 2], 2, 64, 32, 0),
        // Software, both ways of declaring tiles.
        &tile(8, [4, 2], 2, 96, 8, 1),
        &tile(8, [4, 2], 2, 64, 8, 1),
        &tile(8, [4, 2], 2, 96, 8, 0),
        &tile(8, [4, 2], 2, 64, 8, 0),
    ],
    variants: &[&[("ACT", ALL_ACTIVATIONS)]],
    needs: Needs::CooperativeMatrix,
    ..Kernel::of("conv_coop", include_str!("../../../wgsl/conv_coop.wgsl"), size_of::<Params>())
};

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    let matrices = rec.device().coop().ok_or_else(|| Error::Unsupported("cooperative matrices, which this device lacks".into()))?;
    let (size, lanes) = (matrices.size, matrices.lanes);
    let ([sm, sn], fm) = if lanes == 64 { ([2, 2], 4) } else { ([4, 2], 2) };
    let channels = if call.weight.out_channels().is_multiple_of(96) { 96 } else { 64 };
    let constants = tile(size, [sm, sn], fm, channels, lanes, u32::from(!matrices.ones));
    call.dispatch(rec, &CONV_COOP, &constants, [sm * fm * size, channels])
}
