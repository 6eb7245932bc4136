//! Products in registers alone, for any device; and those of few rows, for which no tile is worth its while.

use crate::error::Result;
use crate::gpu::{Kernel, Recorder, kernel::tiles};
use crate::ops::activation::ACTIVATIONS;
use crate::ops::gemm::call::{FEW_ROWS, Gemm, Params, SLOTS};

pub static MATMUL_REG: Kernel = Kernel {
    slots: SLOTS,
    tiles: &tiles(&TILES),
    variants: &[&[("ACT", ACTIVATIONS), ("GATED", &[0, 1])]],
    ..Kernel::of("matmul_reg", include_str!("../../../wgsl/matmul_reg.wgsl"), size_of::<Params>())
};

/// Rows and columns of a thread, and threads across a workgroup.
const fn tile(tm: u32, tn: u32, wn: u32) -> [(&'static str, u32); 3] {
    [("TM", tm), ("TN", tn), ("WN", wn)]
}

static TILES: [[(&str, u32); 3]; 3] = [tile(8, 8, 8), tile(8, 4, 4), tile(1, 4, 16)];

pub(super) fn record(rec: &mut Recorder, gemm: &Gemm) -> Result<()> {
    let rows = gemm.x.rows();
    let tile = match (rows, gemm.w.rows()) {
        (..=FEW_ROWS, _) => TILES[2],
        (_, ..=16) => TILES[1],
        _ => TILES[0],
    };
    let [(_, tm), (_, tn), (_, wn)] = tile;
    let params = gemm.params(wn * tn);
    let row_groups = rows.div_ceil((MATMUL_REG.workgroup / wn * tm) as usize);
    let constants = [&tile[..], &gemm.epilogue_constants()].concat();
    let args = gemm.args();
    rec.dispatch(&MATMUL_REG, &constants, &params, &args, row_groups * params.column_groups as usize, gemm.cost(&args))
}
