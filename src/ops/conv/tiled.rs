//! Convolutions through workgroup memory.

use crate::error::Result;
use crate::gpu::{Kernel, Recorder, kernel::READ};
use crate::ops::conv::call::{Call, Params, slots};
use crate::ops::finish::ALL_ACTIVATIONS;

pub static CONV_TILED: Kernel = Kernel {
    slots: &slots(READ),
    variants: &[
        &[("BN", &[96]), ("TM", &[8]), ("TN", &[12]), ("WG", &[64]), ("ACT", ALL_ACTIVATIONS)],
        &[("BN", &[64]), ("TM", &[8]), ("TN", &[8]), ("WG", &[64, 128]), ("ACT", ALL_ACTIVATIONS)],
        &[("BN", &[32]), ("TM", &[4]), ("TN", &[8]), ("WG", &[64]), ("ACT", ALL_ACTIVATIONS)],
    ],
    ..Kernel::of("conv_tiled", include_str!("../../../wgsl/conv_tiled.wgsl"), size_of::<Params>())
};

/// Tiles of so many workgroups fill a GPU; of fewer, smaller ones are better.
const ENOUGH: usize = 256;

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    let (pixels, channels) = (call.out.rows(), call.weight.out_channels());
    let large = pixels.div_ceil(128) * channels.div_ceil(64) >= ENOUGH;
    // 96 fits the channels of the VAEs, which are multiples of it.
    let (bn, tm, tn, lanes) = match channels {
        _ if channels.is_multiple_of(96) => (96, 8, 12, 64),
        ..=32 => (32, 4, 8, 64),
        _ => (64, 8, 8, if large { 128 } else { 64 }),
    };
    call.dispatch(rec, &CONV_TILED, &[("BN", bn), ("TM", tm), ("TN", tn), ("WG", lanes)], [lanes, bn])
}
