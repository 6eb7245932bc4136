//! Attention through workgroup memory.

use crate::error::Result;
use crate::gpu::Recorder;
use crate::gpu::kernel::{Kernel, Needs};
use crate::ops::attention::call::{Call, Params, SLOTS};
use crate::ops::libs::TURNED;

/// See `wgsl/attention_tiled.wgsl`.
pub static ATTENTION_TILED: Kernel = Kernel {
    name: "attention_tiled",
    source: include_str!("../../../wgsl/attention_tiled.wgsl"),
    libs: &[TURNED],
    workgroup: 128,
    slots: SLOTS,
    params_bytes: size_of::<Params>(),
    variants: &[&[("FOURS", &[1, 2]), ("BIASED", &[0, 1])]],
    needs: Needs::Nothing,
};

/// `BR` of the kernel.
const QUERIES: u32 = 64;

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    call.dispatch_biased(rec, &ATTENTION_TILED, &[("FOURS", (call.dim as u32).div_ceil(64))], QUERIES)
}
