//! Convolutions for software drivers: one subgroup makes 16 pixels, or of few channels two, four or eight times as many, alone.

use crate::error::Result;
use crate::gpu::{Element, Family, Kernel, Needs, Recorder};
use crate::ops::conv::call::{Call, Params, slots};
use crate::ops::conv::weight::{CHANNELS, tile_channels};
use crate::ops::finish::ALL_ACTIVATIONS;

pub static CONV_SG: Kernel = Kernel {
    workgroup: Family::SG_LANES,
    slots: &slots(&[Element::F32x4, Element::F16x4]),
    variants: &[
        &[("TM", &[PIXELS]), ("VECS", &[1, 2, 3]), ("LANES", &[8]), ("FEW", &[0]), ("PAST", &[0, 1]), ("ACT", ALL_ACTIVATIONS)],
        &[("TM", &[PIXELS]), ("VECS", &[1, 2, 3]), ("LANES", &[8]), ("FEW", &[1]), ("PAST", &[0]), ("ACT", ALL_ACTIVATIONS)],
        &[("TM", &[PIXELS]), ("VECS", &[1]), ("LANES", &[1, 2, 4]), ("FEW", &[0]), ("PAST", &[0, 1]), ("ACT", ALL_ACTIVATIONS)],
        &[("TM", &[PIXELS]), ("VECS", &[1]), ("LANES", &[1, 2, 4]), ("FEW", &[1]), ("PAST", &[0]), ("ACT", ALL_ACTIVATIONS)],
    ],
    needs: Needs::Subgroups,
    ..Kernel::of("conv_sg", include_str!("../../../wgsl/conv_sg.wgsl"), size_of::<Params>())
};

const PIXELS: u32 = 16;
/// Channels of which the lanes load several taps at once.
const FEW: usize = 16;

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    let tile = tile_channels(call.weight.out_channels());
    let lanes = (tile / 4).min(Family::SG_LANES as usize) as u32;
    let is_few = call.weight.in_channels() <= FEW && call.weight.depth() > call.weight.in_channels() && call.options.past[0].is_none();
    let vec4s = tile.div_ceil(CHANNELS) as u32;
    let constants = [("TM", PIXELS), ("VECS", vec4s), ("LANES", lanes), ("FEW", u32::from(is_few)), call.past()];
    call.dispatch(rec, &CONV_SG, &constants, [PIXELS * Family::SG_LANES / lanes, tile as u32])
}
