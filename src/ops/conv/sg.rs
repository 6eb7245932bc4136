//! Convolutions for software drivers: one subgroup makes 16 pixels, alone.

use crate::error::Result;
use crate::gpu::kernel::{Kernel, Needs};
use crate::gpu::{Family, Recorder};
use crate::ops::activation::ACTIVATIONS;
use crate::ops::conv::{Call, Params, SLOTS};
use crate::ops::libs::{ACTIVATION, TAPS};

/// See `wgsl/conv_sg.wgsl`.
pub static CONV_SG: Kernel = Kernel {
    name: "conv_sg",
    source: include_str!("../../../wgsl/conv_sg.wgsl"),
    libs: &[ACTIVATION, TAPS],
    workgroup: Family::SG_LANES,
    slots: SLOTS,
    params_bytes: size_of::<Params>(),
    variants: &[&[("TM", &[PIXELS]), ("FOURS", &[1, 2, 3]), ("ACT", ACTIVATIONS)]],
    needs: Needs::Subgroups,
};

const PIXELS: u32 = 16;
/// Channels of the narrowest tile.
const CHANNELS: usize = 4 * Family::SG_LANES as usize;

/// Channels of a tile: 96, 64 or 32, where they leave the least over.
pub(super) fn tile_channels(out_channels: usize) -> usize {
    let tiles = [3 * CHANNELS, 2 * CHANNELS, CHANNELS];
    tiles.into_iter().min_by_key(|&tile| out_channels.next_multiple_of(tile)).unwrap_or(CHANNELS)
}

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    let tile = tile_channels(call.weight.out_channels());
    call.dispatch(rec, &CONV_SG, &[("TM", PIXELS), ("FOURS", (tile / CHANNELS) as u32)], [PIXELS, tile as u32])
}
