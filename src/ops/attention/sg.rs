//! Attention for software drivers: one subgroup makes 8 or 16 queries, alone.

use crate::error::Result;
use crate::gpu::{Family, Kernel, Needs, Recorder};
use crate::ops::attention::call::{Call, Params, SLOTS};

pub static ATTENTION_SG: Kernel = Kernel {
    workgroup: Family::SG_LANES,
    slots: SLOTS,
    variants: &[
        &[("BR", &[QUERIES]), ("VECS", &[1, 2, 3, 4]), ("BIASED", &[0, 1, 2]), ("RANGED", &[0])],
        &[("BR", &[WIDE]), ("VECS", &[5, 6, 7, 8]), ("BIASED", &[0, 1, 2]), ("RANGED", &[0])],
        &[("BR", &[QUERIES]), ("VECS", &[1, 2, 3, 4]), ("BIASED", &[0]), ("RANGED", &[1])],
        &[("BR", &[WIDE]), ("VECS", &[5, 6, 7, 8]), ("BIASED", &[0]), ("RANGED", &[1])],
    ],
    needs: Needs::Subgroups,
    ..Kernel::of("attention_sg", include_str!("../../../wgsl/attention_sg.wgsl"), size_of::<Params>())
};

/// Of heads of up to 128 numbers, and of wider ones.
const QUERIES: u32 = 16;
const WIDE: u32 = 8;

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    let vec4s = (call.dim as u32).div_ceil(4 * Family::SG_LANES);
    let queries = if vec4s > 4 { WIDE } else { QUERIES };
    call.dispatch_biased(rec, &ATTENTION_SG, &[("BR", queries), ("VECS", vec4s)], queries)
}
