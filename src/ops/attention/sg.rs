//! Attention for software drivers: one subgroup makes 16, 32 or 64 queries, alone.

use crate::error::Result;
use crate::gpu::{Family, Kernel, Needs, Recorder};
use crate::ops::attention::call::{Call, Params, SLOTS};

pub static ATTENTION_SG: Kernel = Kernel {
    workgroup: Family::SG_LANES,
    slots: SLOTS,
    tiles: &[&[("BR", 16), ("BLOCKS", 1)], &[("BR", 32), ("BLOCKS", 1)], &[("BR", 32), ("BLOCKS", 2)]],
    variants: &[
        &[("PARTS", &[1]), ("VECS", &[1, 2, 3, 4]), ("BIASED", &[0, 1, 2]), ("RANGED", &[0])],
        &[("PARTS", &[2]), ("VECS", &[3, 4]), ("BIASED", &[0, 1, 2]), ("RANGED", &[0])],
        &[("PARTS", &[1]), ("VECS", &[1, 2, 3, 4]), ("BIASED", &[0]), ("RANGED", &[1])],
        &[("PARTS", &[2]), ("VECS", &[3, 4]), ("BIASED", &[0]), ("RANGED", &[1])],
    ],
    needs: Needs::Subgroups,
    ..Kernel::of("attention_sg", include_str!("../../../wgsl/attention_sg.wgsl"), size_of::<Params>())
};

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    let vec4s = (call.dim as u32).div_ceil(4 * Family::SG_LANES);
    let parts = vec4s.div_ceil(4);
    let [br, blocks] = tile(call.q_len, parts);
    let constants = [("BR", br), ("BLOCKS", blocks), ("PARTS", parts), ("VECS", vec4s.div_ceil(parts))];
    call.dispatch_biased(rec, &ATTENTION_SG, &constants, br * blocks)
}

/// Larger tiles are faster, but take seconds to compile, so that they are for those who have much to do: see the kernel.
fn tile(queries: usize, parts: u32) -> [u32; 2] {
    match queries {
        0..256 => [16, 1],
        1024.. if parts == 1 => [32, 2],
        _ => [32, 1],
    }
}
