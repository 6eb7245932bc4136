//! Attention through workgroup memory.

use crate::error::Result;
use crate::gpu::{Kernel, Recorder};
use crate::ops::attention::call::{Call, Params, SLOTS};

pub static ATTENTION_TILED: Kernel = Kernel {
    workgroup: 128,
    slots: SLOTS,
    variants: &[&[("BR", &[64]), ("VECS", &[1, 2]), ("BIASED", &[0, 1, 2])], &[("BR", &[32]), ("VECS", &[3, 4]), ("BIASED", &[0, 1, 2])]],
    ..Kernel::of("attention_tiled", include_str!("../../../wgsl/attention_tiled.wgsl"), size_of::<Params>())
};

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    let vec4s = (call.dim as u32).div_ceil(64);
    // Sums of more would not fit in registers.
    let queries = if vec4s > 2 { 32 } else { 64 };
    call.dispatch_biased(rec, &ATTENTION_TILED, &[("BR", queries), ("VECS", vec4s)], queries)
}
