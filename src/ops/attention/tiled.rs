//! Attention through workgroup memory.

use crate::error::Result;
use crate::gpu::{Kernel, Recorder};
use crate::ops::attention::call::{Call, Params, SLOTS};
use crate::ops::libs::{ATTENTION, ATTENTION_BIAS, ATTENTION_WEIGHTS, TURNED};

/// See `wgsl/attention_tiled.wgsl`.
pub static ATTENTION_TILED: Kernel = Kernel {
    libs: &[ATTENTION, ATTENTION_BIAS, ATTENTION_WEIGHTS, TURNED],
    workgroup: 128,
    slots: SLOTS,
    variants: &[&[("FOURS", &[1, 2]), ("BIASED", &[0, 1])], &[("FOURS", &[3, 4]), ("BIASED", &[0, 1])]],
    ..Kernel::of("attention_tiled", include_str!("../../../wgsl/attention_tiled.wgsl"), size_of::<Params>())
};

/// `BR` of the kernel.
const QUERIES: u32 = 64;

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    call.dispatch_biased(rec, &ATTENTION_TILED, &[("FOURS", (call.dim as u32).div_ceil(64))], QUERIES)
}
