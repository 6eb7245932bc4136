//! Attention for software drivers: one subgroup makes 16 queries, alone.

use crate::error::Result;
use crate::gpu::{Family, Kernel, Needs, Recorder};
use crate::ops::attention::call::{Call, Params, SLOTS};

pub static ATTENTION_SG: Kernel = Kernel {
    workgroup: Family::SG_LANES,
    slots: SLOTS,
    variants: &[&[("BR", &[QUERIES]), ("VEC4S", &[1, 2, 3, 4]), ("BIASED", &[0, 1, 2])]],
    needs: Needs::Subgroups,
    ..Kernel::of("attention_sg", include_str!("../../../wgsl/attention_sg.wgsl"), size_of::<Params>())
};

const QUERIES: u32 = 16;

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    let vec4s = (call.dim as u32).div_ceil(4 * Family::SG_LANES);
    call.dispatch_biased(rec, &ATTENTION_SG, &[("BR", QUERIES), ("VEC4S", vec4s)], QUERIES)
}
