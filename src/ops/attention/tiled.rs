//! Attention through workgroup memory.

use crate::error::Result;
use crate::gpu::{Kernel, Recorder};
use crate::ops::attention::call::{Call, Params, SCORES, SLOTS};

pub static ATTENTION_TILED: Kernel = Kernel {
    workgroup: 128,
    slots: SLOTS,
    tiles: &[&[("VECS", 1)], &[("VECS", 2)], &[("VECS", 3)], &[("VECS", 4)]],
    variants: SCORES,
    ..Kernel::of("attention_tiled", include_str!("../../../wgsl/attention_tiled.wgsl"), size_of::<Params>())
};

/// `BR` of the kernel.
const QUERIES: u32 = 64;

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    call.dispatch_biased(rec, &ATTENTION_TILED, &[("VECS", (call.dim as u32).div_ceil(64))], QUERIES)
}
