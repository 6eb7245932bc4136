//! Attention for any device and any head dim: keys and values are read where they lie.

use crate::error::Result;
use crate::gpu::{Kernel, Recorder};
use crate::ops::attention::call::{Call, Params, SLOTS};

pub static ATTENTION_REG: Kernel = Kernel {
    slots: SLOTS,
    variants: &[
        &[("BR", &[32]), ("COLS", &[4, 8, 16]), ("VECS", &[1]), ("WG", &[64]), ("BIASED", &[0, 1, 2])],
        &[("BR", &[32]), ("COLS", &[16]), ("VECS", &[2]), ("WG", &[64]), ("BIASED", &[0, 1, 2])],
        &[("BR", &[16]), ("COLS", &[16]), ("VECS", &[2]), ("WG", &[64]), ("BIASED", &[0, 1, 2])],
        &[("BR", &[16]), ("COLS", &[32]), ("VECS", &[2]), ("WG", &[64]), ("BIASED", &[0, 1, 2])],
        &[("BR", &[16]), ("COLS", &[64]), ("VECS", &[2]), ("WG", &[128]), ("BIASED", &[0, 1, 2])],
        &[("BR", &[16]), ("COLS", &[128]), ("VECS", &[2]), ("WG", &[256]), ("BIASED", &[0, 1, 2])],
    ],
    ..Kernel::of("attention_reg", include_str!("../../../wgsl/attention_reg.wgsl"), size_of::<Params>())
};

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    // GPUs have no registers for the sums of many queries, and of few a tile would be half empty.
    let many = rec.device().is_software() && call.q_len > 16;
    // Queries of a workgroup, and how its lanes share the head dim: what fits in 16 KiB of workgroup memory and in registers.
    let (queries, columns, vec4s, lanes) = match call.dim {
        ..=16 => (32, 4, 1, 64),
        17..=32 => (32, 8, 1, 64),
        33..=64 => (32, 16, 1, 64),
        65..=128 => (if many { 32 } else { 16 }, 16, 2, 64),
        129..=256 => (16, 32, 2, 64),
        257..=512 => (16, 64, 2, 128),
        _ => (16, 128, 2, 256),
    };
    call.dispatch_biased(rec, &ATTENTION_REG, &[("BR", queries), ("COLS", columns), ("VECS", vec4s), ("WG", lanes)], queries)
}
