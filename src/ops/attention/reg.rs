//! Attention for any device and any head dim: keys and values are read where they lie.

use crate::error::Result;
use crate::gpu::{Kernel, Recorder, kernel::tiles};
use crate::ops::attention::call::{Call, Params, SCORES, SLOTS};

pub static ATTENTION_REG: Kernel = Kernel {
    slots: SLOTS,
    tiles: &tiles(&TILES),
    variants: SCORES,
    ..Kernel::of("attention_reg", include_str!("../../../wgsl/attention_reg.wgsl"), size_of::<Params>())
};

/// Queries of a workgroup, and how its lanes share the head dim.
const fn tile(queries: u32, columns: u32, vec4s: u32, lanes: u32) -> [(&'static str, u32); 4] {
    [("BR", queries), ("COLS", columns), ("VECS", vec4s), ("WG", lanes)]
}

/// What fits in 16 KiB of workgroup memory and in registers, for heads of up to 16, 32, 64, .. 1024; and for 128 that of many queries.
static TILES: [[(&str, u32); 4]; 8] = [
    tile(32, 4, 1, 64),
    tile(32, 8, 1, 64),
    tile(32, 16, 1, 64),
    tile(16, 16, 2, 64),
    tile(16, 32, 2, 64),
    tile(16, 64, 2, 128),
    tile(16, 128, 2, 256),
    tile(32, 16, 2, 64),
];

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    let size = call.dim.next_power_of_two().max(16);
    // GPUs have no registers for the sums of many queries, and of few a tile would be half empty.
    let many = size == 128 && rec.device().is_software() && call.q_len > 16;
    let tile = if many { &TILES[7] } else { &TILES[(size.ilog2() - 4) as usize] };
    call.dispatch_biased(rec, &ATTENTION_REG, tile, tile[0].1)
}
