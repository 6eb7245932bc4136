//! Convolutions in registers alone, for any device and any number of channels.

use crate::error::Result;
use crate::gpu::kernel::{READ, tiles};
use crate::gpu::{Kernel, Recorder};
use crate::ops::conv::call::{Call, Params, slots};
use crate::ops::finish::ALL_ACTIVATIONS;

pub static CONV_REG: Kernel = Kernel {
    slots: &slots(READ),
    tiles: &tiles(&TILES),
    variants: &[&[("PAST", &[0, 1]), ("ACT", ALL_ACTIVATIONS)]],
    ..Kernel::of("conv_reg", include_str!("../../../wgsl/conv_reg.wgsl"), size_of::<Params>())
};

/// Pixels and channels of a thread, and threads of channels across a workgroup.
const fn tile(tn: u32, wn: u32) -> [(&'static str, u32); 3] {
    [("TM", 8), ("TN", tn), ("WN", wn)]
}

static TILES: [[(&str, u32); 3]; 5] = [tile(4, 1), tile(8, 1), tile(8, 2), tile(8, 4), tile(8, 8)];

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    // As wide as there are channels, or as the widest.
    let channels = call.weight.out_channels() as u32;
    let width = |tile: &[(&str, u32); 3]| tile[1].1 * tile[2].1;
    let tile = TILES.into_iter().find(|tile| width(tile) >= channels).unwrap_or(TILES[4]);
    let [(_, tm), _, (_, wn)] = tile;
    let constants = [&tile[..], &[call.past()]].concat();
    call.dispatch(rec, &CONV_REG, &constants, [CONV_REG.workgroup / wn * tm, width(&tile)])
}
