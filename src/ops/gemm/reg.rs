//! Products in registers alone, for any device; and those of few rows, for which no tile is worth its while.

use crate::error::Result;
use crate::gpu::{Kernel, Recorder};
use crate::ops::activation::ACTIVATIONS;
use crate::ops::gemm::call::{FEW_ROWS, Gemm, Params, SLOTS};

pub static MATMUL_REG: Kernel = Kernel {
    slots: SLOTS,
    variants: &[
        &[("TM", &[8]), ("TN", &[8]), ("WN", &[8]), ("ACT", ACTIVATIONS), ("GATED", &[0, 1])],
        &[("TM", &[8]), ("TN", &[4]), ("WN", &[4]), ("ACT", ACTIVATIONS), ("GATED", &[0, 1])],
        &[("TM", &[1]), ("TN", &[4]), ("WN", &[16]), ("ACT", ACTIVATIONS), ("GATED", &[0, 1])],
    ],
    ..Kernel::of("matmul_reg", include_str!("../../../wgsl/matmul_reg.wgsl"), size_of::<Params>())
};

pub(super) fn record(rec: &mut Recorder, gemm: &Gemm) -> Result<()> {
    let rows = gemm.x.rows();
    // Rows and columns of a lane, and lanes across a workgroup.
    let (tm, tn, wn) = match (rows, gemm.w.rows()) {
        (..=FEW_ROWS, _) => (1, 4, 16),
        (_, ..=16) => (8, 4, 4),
        _ => (8, 8, 8),
    };
    let params = gemm.params(wn * tn);
    let row_groups = rows.div_ceil((MATMUL_REG.workgroup / wn * tm) as usize);
    let [act, gated] = gemm.epilogue_constants();
    let constants = [("TM", tm), ("TN", tn), ("WN", wn), act, gated];
    let args = gemm.args();
    rec.dispatch(&MATMUL_REG, &constants, &params, &args, row_groups * params.column_groups as usize, gemm.cost(&args))
}
