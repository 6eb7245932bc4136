//! Convolutions for software drivers: one subgroup makes 16 or 32 pixels, or of few channels two, four or eight times as many, alone.

use crate::error::Result;
use crate::gpu::{Element, Family, Kernel, Needs, Recorder};
use crate::ops::conv::call::{Call, Params, slots};
use crate::ops::conv::weight::{CHANNELS, tile_channels};
use crate::ops::finish::ALL_ACTIVATIONS;

pub static CONV_SG: Kernel = Kernel {
    workgroup: Family::SG_LANES,
    slots: &slots(&[Element::F32x4, Element::F16x4]),
    variants: &[
        &[("TM", TM), ("VECS", &[1, 2, 3]), ("LANES", &[8]), HOW_ANY, NO_PACK, ("PAST", &[1]), ("ACT", ALL_ACTIVATIONS)],
        &[("TM", &[16]), ("VECS", &[1]), ("LANES", &[1, 2, 4]), HOW_ANY, NO_PACK, ("PAST", &[0, 1]), ("ACT", ALL_ACTIVATIONS)],
        &[
            ("TM", TM),
            ("VECS", &[1, 2, 3]),
            ("LANES", &[8]),
            ("HOW", &[ANY, FEW, POINT]),
            NO_PACK,
            ("PAST", &[0]),
            ("ACT", ALL_ACTIVATIONS),
        ],
        &[
            ("TM", TM),
            ("VECS", &[1, 2, 3]),
            ("LANES", &[8]),
            ("HOW", &[POINT]),
            ("PACK", &[2, 4]),
            ("PAST", &[0]),
            ("ACT", ALL_ACTIVATIONS),
        ],
        &[("TM", &[16]), ("VECS", &[1]), ("LANES", &[1, 2, 4]), ("HOW", &[FEW, POINT]), NO_PACK, ("PAST", &[0]), ("ACT", ALL_ACTIVATIONS)],
    ],
    needs: Needs::Subgroups,
    ..Kernel::of("conv_sg", include_str!("../../../wgsl/conv_sg.wgsl"), size_of::<Params>())
};

/// Pixels of a lane.
const TM: &[u32] = &[16, 32];

/// How lanes load an image: see the kernel.
const ANY: u32 = 0;
const FEW: u32 = 1;
const POINT: u32 = 2;
const HOW_ANY: (&str, &[u32]) = ("HOW", &[ANY]);
const NO_PACK: (&str, &[u32]) = ("PACK", &[1]);

/// Channels of which the lanes load several taps at once.
const FEW_CHANNELS: usize = 16;

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    let tile = tile_channels(call.weight.out_channels());
    let lanes = (tile / 4).min(Family::SG_LANES as usize) as u32;
    let (vec4s, how) = (tile.div_ceil(CHANNELS) as u32, how(call));
    let tm = if lanes == Family::SG_LANES { pixels(call) } else { TM[0] };
    let pack = if lanes == Family::SG_LANES && how == POINT { pack(call.weight.in_channels()) } else { 1 };
    let constants = [("TM", tm), ("VECS", vec4s), ("LANES", lanes), ("HOW", how), ("PACK", pack), call.past()];
    call.dispatch(rec, &CONV_SG, &constants, [tm * Family::SG_LANES / lanes, tile as u32])
}

fn how(call: &Call) -> u32 {
    let (weight, options) = (call.weight, &call.options);
    let is_plain = options.stride == 1 && options.stride_t == 1 && !options.upsample && options.pad == [(0, 0); 3];
    match weight.kernel() {
        _ if options.past[0].is_some() => ANY,
        [1, 1, 1] if is_plain => POINT,
        _ if weight.in_channels() <= FEW_CHANNELS && weight.depth() > weight.in_channels() => FEW,
        _ => ANY,
    }
}

/// As many as weights are worth loading for: the more pixels, the fewer times they are.
fn pixels(call: &Call) -> u32 {
    if call.out.rows() <= TM[0] as usize { TM[0] } else { TM[1] }
}

/// Pixels whose channels eight lanes load at once.
fn pack(channels: usize) -> u32 {
    match channels {
        0..=8 => 4,
        9..=16 => 2,
        _ => 1,
    }
}
