//! Products for software drivers: weights are put in the order in which they are read, then each subgroup works alone.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::kernel::params;
use crate::gpu::{Arg, Cost, Element, Family, Kernel, Needs, Recorder, Slot, Tensor, kernel::READ, kernel::WEIGHT};
use crate::ops::activation::ACTIVATIONS;
use crate::ops::gemm::call::{BIAS, GATE, Gemm, OUT, Params, RESIDUAL};

/// All values of the constant `FORM`: f32, f16, bf16.
const FORMS: &[u32] = &[0, 1, 2];

pub static MATMUL_SG: Kernel = Kernel {
    workgroup: Family::SG_LANES,
    slots: &[Slot::read("x", READ), Slot::read("packed", &[Element::U32x4]), BIAS, GATE, RESIDUAL, OUT],
    variants: &[&[("TM", &[8, 16, 32]), ("FORM", FORMS), ("ACT", ACTIVATIONS), ("GATED", &[0, 1])]],
    needs: Needs::Subgroups,
    ..Kernel::of("matmul_sg", include_str!("../../../wgsl/matmul_sg.wgsl"), size_of::<Params>())
};

pub static MATMUL_PACK: Kernel = Kernel {
    slots: &[Slot::read("w", WEIGHT), Slot::write("packed", &[Element::U32x4])],
    variants: &[&[("FORM", FORMS)]],
    ..Kernel::of("matmul_pack", include_str!("../../../wgsl/matmul_pack.wgsl"), size_of::<PackParams>())
};

params!(PackParams { inner: u32, depth: u32, from: u32, shard: u32, vec4s: u32 });

/// Columns of a tile.
const COLS: usize = 64;
/// The numbers of a row that a subgroup loads at once.
const DEPTH: usize = 32;
/// Bytes that weights in reading order may take, unless those of [`COLS`] columns take more: enough to keep the cost of another dispatch
/// small, and little beside what any model holds.
const PACKED_BYTES: usize = 32 << 20;

pub(super) fn record(rec: &mut Recorder, gemm: &Gemm) -> Result<()> {
    let (w, depth) = (gemm.w, gemm.w.cols().next_multiple_of(DEPTH));
    let tile_bytes = depth * COLS * w.dtype().bytes() as usize;
    let most = (PACKED_BYTES / tile_bytes).max(1) * COLS;
    for from in (0..w.rows()).step_by(most) {
        let cols = most.min(w.rows() - from);
        let packed = pack(rec, w, from, cols, depth)?;
        run(rec, gemm, &packed, from, cols)?;
    }
    Ok(())
}

fn form(dtype: DType) -> u32 {
    match dtype {
        DType::F32 => 0,
        DType::F16 => 1,
        DType::Bf16 => 2,
    }
}

/// `cols` rows of w from `from` on: columns of the product.
fn pack(rec: &mut Recorder, w: &Tensor, from: usize, cols: usize, depth: usize) -> Result<Tensor> {
    let packed = rec.alloc(&[cols.next_multiple_of(COLS), depth], w.dtype())?;
    // A lane packs four numbers of eight columns.
    let vec4s = packed.len() / 32;
    let params =
        PackParams { inner: w.cols() as u32, depth: depth as u32, from: from as u32, shard: (from + cols) as u32, vec4s: vec4s as u32 };
    let args = [Arg::rows(w), Arg::words(&packed)];
    rec.dispatch(
        &MATMUL_PACK,
        &[("FORM", form(w.dtype()))],
        &params,
        &args,
        vec4s.div_ceil(MATMUL_PACK.workgroup as usize),
        Cost::of(0.0, &args),
    )?;
    Ok(packed)
}

fn run(rec: &mut Recorder, gemm: &Gemm, packed: &Tensor, from: usize, cols: usize) -> Result<()> {
    let rows = gemm.x.rows();
    // The more rows, the fewer times weights are loaded, and the longer it takes to compile.
    let tm = match rows {
        0..=32 => 8,
        33..=255 => 16,
        _ => 32,
    };
    let whole = gemm.params(COLS as u32);
    let params = Params { shard: cols as u32, first: whole.first + from as u32, column_groups: cols.div_ceil(COLS) as u32, ..whole };
    let [act, gated] = gemm.epilogue_constants();
    let constants = [("TM", tm), ("FORM", form(packed.dtype())), act, gated];
    let [bias, gate, residual, out] = gemm.epilogue_args();
    let args = [Arg::rows(gemm.x), Arg::words(packed), bias, gate, residual, out];
    let cost = Cost::of((2 * rows * cols * gemm.x.cols()) as f64, &args);
    rec.dispatch(&MATMUL_SG, &constants, &params, &args, rows.div_ceil(tm as usize) * params.column_groups as usize, cost)
}
