//! Attention for software drivers: one subgroup makes 16 queries, alone.

use crate::error::Result;
use crate::gpu::{Family, Kernel, Needs, Recorder};
use crate::ops::attention::call::{Call, Params, SLOTS};

pub static ATTENTION_SG: Kernel = Kernel {
    workgroup: Family::SG_LANES,
    slots: SLOTS,
    variants: &[
        &[("PARTS", &[1]), ("VECS", &[1, 2, 3, 4]), ("BIASED", &[0, 1, 2])],
        &[("PARTS", &[2]), ("VECS", &[3, 4]), ("BIASED", &[0, 1, 2])],
    ],
    needs: Needs::Subgroups,
    ..Kernel::of("attention_sg", include_str!("../../../wgsl/attention_sg.wgsl"), size_of::<Params>())
};

/// `BR` of the kernel.
const QUERIES: u32 = 16;

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    let vec4s = (call.dim as u32).div_ceil(4 * Family::SG_LANES);
    let parts = vec4s.div_ceil(4);
    call.dispatch_biased(rec, &ATTENTION_SG, &[("PARTS", parts), ("VECS", vec4s.div_ceil(parts))], QUERIES)
}
