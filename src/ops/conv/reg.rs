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
const fn tile(tm: u32, tn: u32, wn: u32) -> [(&'static str, u32); 3] {
    [("TM", tm), ("TN", tn), ("WN", wn)]
}

/// From the narrowest on, and one of few pixels.
static TILES: [[(&str, u32); 3]; 6] = [tile(8, 4, 1), tile(8, 8, 1), tile(8, 8, 2), tile(8, 8, 4), tile(8, 8, 8), tile(4, 8, 8)];

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    let channels = call.weight.out_channels() as u32;
    let width = |tile: &[(&str, u32); 3]| tile[1].1 * tile[2].1;
    let tile = match channels {
        ..=4 => TILES[0],
        // GPUs have no registers for more; and of so few pixels more would be half empty.
        _ if !rec.device().is_software() || call.out.rows() <= 32 => TILES[5],
        // As wide as there are channels, or as the widest.
        _ => TILES.into_iter().find(|tile| width(tile) >= channels).unwrap_or(TILES[4]),
    };
    let [(_, tm), _, (_, wn)] = tile;
    let constants = [&tile[..], &[call.past()]].concat();
    call.dispatch(rec, &CONV_REG, &constants, [CONV_REG.workgroup / wn * tm, width(&tile)])
}
