//! Attention by cooperative matrices of f16, summed in f32.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Arg, Device, Element, Family, Kernel, Needs, Recorder, Slot, family::Coop};
use crate::ops::{attention::call::Call, attention::call::Params, tuned::fastest_tile};

/// A workgroup is `sg` subgroups of `lanes`, a subgroup makes `fm` fragments of `size` queries, over tiles of `keys` keys of heads up to `dim`.
/// Values are `transposed` or not. Arrays are declared by vec4s, or one by one. LX are the vec4s of keys that a lane carries, LV the blocks of values.
const fn tile(size: u32, [sg, fm, keys, transposed]: [u32; 4], dim: u32, lanes: u32, vec4s: u32) -> [(&'static str, u32); 12] {
    let (all, fours_of_keys) = (sg * lanes, keys * dim / 4);
    let [across, along] = [("FN", keys / size), ("FD", dim / size)];
    let [carried, blocks] = [("LX", fours_of_keys / all), ("LV", fours_of_keys.div_ceil(4 * all))];
    let [pad, transposed] = [("PAD", Coop::new(size, lanes, vec4s == 0).padding()), ("TRANSPOSED", transposed)];
    [
        ("SIZE", size),
        ("SG", sg),
        ("FM", fm),
        across,
        along,
        transposed,
        ("LANES", lanes),
        ("VEC4_ARRAYS", vec4s),
        pad,
        carried,
        blocks,
        ("WG", all),
    ]
}

const HALVES: &[Element] = &[Element::NativeF16x4];

pub static ATTENTION_COOP: Kernel = Kernel {
    workgroup: 256,
    slots: &[
        Slot::read("q", HALVES),
        Slot::read("k", HALVES),
        Slot::read("v", HALVES),
        Slot::write("out", &[Element::F32x4, Element::F16x4]),
    ],
    tiles: &[
        // NVIDIA.
        &tile(16, [4, 1, 32, 1], 64, 32, 1),
        &tile(16, [4, 1, 16, 1], 128, 32, 1),
        &tile(16, [8, 1, 16, 1], 128, 32, 1),
        &tile(16, [4, 1, 16, 0], 128, 32, 1),
        &tile(16, [8, 1, 16, 0], 128, 32, 1),
        &tile(16, [4, 1, 32, 1], 128, 32, 1),
        &tile(16, [8, 1, 32, 1], 128, 32, 1),
        &tile(16, [4, 1, 16, 0], 256, 32, 1),
        // AMD.
        &tile(16, [4, 1, 32, 1], 64, 64, 1),
        &tile(16, [4, 1, 32, 1], 128, 64, 1),
        &tile(16, [4, 2, 32, 1], 128, 64, 1),
        &tile(16, [4, 1, 16, 1], 256, 64, 1),
        // Apple.
        &tile(8, [4, 2, 32, 1], 64, 32, 0),
        &tile(8, [4, 2, 32, 1], 128, 32, 0),
        &tile(8, [4, 1, 16, 1], 256, 32, 0),
        // Software, all ways of declaring tiles.
        &tile(8, [4, 1, 32, 1], 64, 8, 1),
        &tile(8, [4, 1, 32, 0], 128, 8, 1),
        &tile(8, [4, 1, 16, 0], 256, 8, 1),
        &tile(8, [4, 1, 32, 1], 64, 8, 0),
        &tile(8, [4, 1, 32, 0], 128, 8, 0),
        &tile(8, [4, 1, 16, 0], 256, 8, 0),
    ],
    needs: Needs::CooperativeMatrix,
    ..Kernel::of("attention_coop", include_str!("../../../wgsl/attention_coop.wgsl"), size_of::<Params>())
};

/// Of fewer queries an attention is too short to be timed.
const WORTH_TUNING: usize = 1024;

/// Whether cooperative matrices can take the operands.
pub(super) fn fits(call: &Call) -> bool {
    let halves = [call.q, call.k, call.v].into_iter().all(|tensor| tensor.dtype() == DType::F16);
    // The highest score is looked for before scores are scaled.
    halves && call.dim.is_multiple_of(4) && call.dim <= 256 && call.how.bias.is_none() && call.how.scale > 0.0
}

pub(super) fn record(rec: &mut Recorder, call: &Call) -> Result<()> {
    let matrices = rec.device().coop().ok_or_else(|| Error::Unsupported("cooperative matrices, which this device lacks".into()))?;
    let dim = (call.dim as u32).next_power_of_two().max(64);
    let shapes = shapes(matrices, dim, rec.device());
    let [q_len, k_len] = [call.q_len, call.k_len].map(usize::next_power_of_two);
    let class = format!("attention {}, {q_len} to {k_len}, heads of {dim}", Family::Coop);
    let number = match call.q_len < WORTH_TUNING {
        true => None,
        false => fastest_tile(rec, &class, shapes.len(), |rec, number| run(rec, call, matrices, dim, shapes[number])),
    };
    run(rec, call, matrices, dim, shapes[number.unwrap_or(0)])
}

/// Subgroups of a workgroup, fragments of queries of each, keys of a tile, and whether values are transposed. Those after the first may be faster:
/// they read keys less often, or leave it to the card to turn values, which NVIDIA's do as they load. RDNA3 has too few registers for two
/// fragments, and so has NVIDIA.
fn shapes(matrices: Coop, dim: u32, device: &Device) -> &'static [[u32; 4]] {
    let has_48_kib = device.limits().max_compute_workgroup_storage_size >= 48 << 10;
    match (matrices.size, matrices.lanes) {
        // Sums and queries of so wide heads take most of the registers, of which turning values takes more, and keys and values most of 32 KiB.
        (16, 32) | (8, 8) if dim > 128 => &[[4, 1, 16, 0]],
        _ if dim > 128 => &[[4, 1, 16, 1]],
        (8, 32) => &[[4, 2, 32, 1]],
        (16, 32) if dim > 64 && has_48_kib => &[[4, 1, 16, 1], [8, 1, 16, 1], [4, 1, 16, 0], [8, 1, 16, 0], [4, 1, 32, 1], [8, 1, 32, 1]],
        (16, 32) if dim > 64 => &[[4, 1, 16, 1], [8, 1, 16, 1], [4, 1, 16, 0], [8, 1, 16, 0]],
        (16, 64) if dim > 64 && has_48_kib && device.is_rdna4() => &[[4, 1, 32, 1], [4, 2, 32, 1]],
        // On software drivers for the sake of tests.
        (8, _) if dim > 64 => &[[4, 1, 32, 0]],
        _ => &[[4, 1, 32, 1]],
    }
}

fn run(rec: &mut Recorder, call: &Call, matrices: Coop, dim: u32, shape: [u32; 4]) -> Result<()> {
    let (size, lanes) = (matrices.size, matrices.lanes);
    let constants = tile(size, shape, dim, lanes, u32::from(!matrices.ones));
    let [subgroups, fragments, ..] = shape;
    let queries = subgroups * fragments * size;
    let args = [Arg::native_f16(call.q), Arg::native_f16(call.k), Arg::native_f16(call.v), Arg::aligned(call.out, true)];
    call.dispatch(rec, &ATTENTION_COOP, &constants, &args, queries)
}
