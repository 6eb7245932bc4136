//! Convolutions for software drivers: one subgroup makes 16 pixels, alone.

use crate::error::Result;
use crate::gpu::{Element, Family, Kernel, Needs, Recorder};
use crate::ops::conv::call::{Call, Params, slots};
use crate::ops::conv::weight::{CHANNELS, tile_channels};
use crate::ops::finish::ALL_ACTIVATIONS;
use crate::ops::libs::{ACTIVATION, FINISH, TAPS};

/// See `wgsl/conv_sg.wgsl`.
pub static CONV_SG: Kernel = Kernel {
    libs: &[ACTIVATION, FINISH, TAPS],
    workgroup: Family::SG_LANES,
    slots: &slots(&[Element::F32x4, Element::F16x4]),
    variants: &[&[("TM", &[PIXELS]), ("FOURS", &[1, 2, 3]), ("ACT", ALL_ACTIVATIONS)]],
    needs: Needs::Subgroups,
    ..Kernel::of("conv_sg", include_str!("../../../wgsl/conv_sg.wgsl"), size_of::<Params>())
};

const PIXELS: u32 = 16;

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    let tile = tile_channels(call.weight.out_channels());
    call.dispatch(rec, &CONV_SG, &[("TM", PIXELS), ("FOURS", (tile / CHANNELS) as u32)], [PIXELS, tile as u32])
}
