//! Convolutions through workgroup memory.

use crate::error::Result;
use crate::gpu::kernel::{READ, tiles};
use crate::gpu::{Kernel, Recorder};
use crate::ops::conv::call::{Call, Params, slots};
use crate::ops::finish::ALL_ACTIVATIONS;

pub static CONV_TILED: Kernel = Kernel {
    slots: &slots(READ),
    tiles: &tiles(&TILES),
    variants: &[&[("ACT", ALL_ACTIVATIONS)]],
    ..Kernel::of("conv_tiled", include_str!("../../../wgsl/conv_tiled.wgsl"), size_of::<Params>())
};

const fn tile(bn: u32, tm: u32, tn: u32, threads: u32) -> [(&'static str, u32); 4] {
    [("BN", bn), ("TM", tm), ("TN", tn), ("WG", threads)]
}

static TILES: [[(&str, u32); 4]; 5] =
    [tile(96, 8, 12, 64), tile(48, 4, 12, 64), tile(64, 8, 8, 128), tile(64, 8, 8, 64), tile(32, 4, 8, 64)];

/// Tiles of so many workgroups fill a GPU; of fewer, smaller ones are better.
const ENOUGH: usize = 256;

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    let (pixels, channels) = (call.out.rows(), call.weight.out_channels());
    let fills = |[rows, columns]: [usize; 2]| pixels.div_ceil(rows) * channels.div_ceil(columns) >= ENOUGH;
    let constants = match channels {
        // 96 fits the channels of the VAEs, which are multiples of it; the sums of so many would not fit in Apple's registers.
        _ if channels.is_multiple_of(96) => TILES[if fills([64, 96]) && !rec.device().is_apple() { 0 } else { 1 }],
        ..=32 => TILES[4],
        _ => TILES[if fills([128, 64]) { 2 } else { 3 }],
    };
    let [(_, columns), _, _, (_, threads)] = constants;
    call.dispatch(rec, &CONV_TILED, &constants, [threads, columns])
}
