//! Products of numbers in 8 bits, four of which a GPU multiplies and adds at once (`dot4I8Packed`): for those without cooperative matrices.
//!
//! Rows of both operands are cut into groups of 32 numbers, each of which becomes whole steps of 1/127 of its largest magnitude. A group's
//! product is exact in integers; those of a row's groups are summed in f32.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::kernel::{INDEX, SCALAR, params, tiles};
use crate::gpu::{Arg, Cost, Element, Kernel, Recorder, Slot, Tensor};
use crate::ops::activation::ACTIVATIONS;
use crate::ops::gemm::call::{BIAS, FEW_ROWS, GATE, Gemm, OUT, Params, RESIDUAL};

/// Numbers that share a step.
const GROUP: usize = 32;

const WORDS: &[Element] = &[Element::U32x4];

pub static MATMUL_INT8: Kernel = Kernel {
    slots: &[
        Slot::read("x", WORDS),
        Slot::read("x_steps", SCALAR),
        Slot::read("w", WORDS),
        Slot::read("w_steps", SCALAR),
        BIAS,
        GATE,
        RESIDUAL,
        OUT,
    ],
    tiles: &tiles(&TILES),
    variants: &[&[("ACT", ACTIVATIONS), ("GATED", &[0, 1])]],
    ..Kernel::of("matmul_int8", include_str!("../../../wgsl/matmul_int8.wgsl"), size_of::<Params>())
};

pub static QUANTIZE_GROUPS: Kernel = Kernel {
    slots: &[
        Slot::read("x", &[Element::F32x4, Element::F16x4, Element::Bf16x4]),
        Slot::write("codes", INDEX),
        Slot::write("steps", SCALAR),
    ],
    ..Kernel::of("quantize_groups", include_str!("../../../wgsl/quantize_groups.wgsl"), size_of::<GroupParams>())
};

params!(GroupParams { groups: u32 });

/// Rows and columns of a workgroup, and rows of a thread, which makes four columns.
const fn tile(bm: u32, bn: u32, tm: u32) -> [(&'static str, u32); 4] {
    [("BM", bm), ("BN", bn), ("TM", tm), ("WG", bm / tm * bn / 4)]
}

static TILES: [[(&str, u32); 4]; 3] = [tile(128, 64, 8), tile(64, 64, 8), tile(32, 32, 4)];

/// Whether the operands can be grouped, and are enough for it to be worth its while.
pub(crate) fn fits(x: &Tensor, cols: usize) -> bool {
    x.rows() > FEW_ROWS && cols.is_multiple_of(GROUP)
}

impl Gemm<'_> {
    /// In 8 bits.
    pub(crate) fn record_int8(&self, rec: &mut Recorder) -> Result<()> {
        let ((x, x_steps), (w, w_steps)) = (quantize_groups(rec, self.x)?, quantize_groups(rec, self.w)?);
        const ENOUGH: usize = 128;
        let count = |[(_, bm), (_, bn), ..]: &[(&str, u32); 4]| {
            [self.x.rows().div_ceil(*bm as usize), self.w.rows().div_ceil(*bn as usize)].into_iter().product::<usize>()
        };
        let tile = TILES.iter().find(|tile| count(tile) >= ENOUGH).unwrap_or(&TILES[TILES.len() - 1]);
        let constants = [&tile[..], &self.epilogue_constants()].concat();
        let [bias, gate, residual, out] = self.epilogue_args();
        let args = [Arg::words(&x), Arg::scalar(&x_steps), Arg::words(&w), Arg::scalar(&w_steps), bias, gate, residual, out];
        rec.dispatch(&MATMUL_INT8, &constants, &self.params(tile[1].1), &args, count(tile), self.cost(&args))
    }
}

/// x [L, C] as words [L, C / 4] of four signed bytes each, and the steps [L, C / 32] of its groups.
fn quantize_groups(rec: &mut Recorder, x: &Tensor) -> Result<(Tensor, Tensor)> {
    let (rows, groups) = (x.rows(), x.cols() / GROUP);
    let (codes, steps) = (rec.alloc(&[rows, x.cols() / 4], DType::F32)?, rec.alloc(&[rows, groups], DType::F32)?);
    let args = [Arg::rows(x), Arg::index(&codes), Arg::scalar(&steps)];
    let params = GroupParams { groups: (rows * groups) as u32 };
    let workgroups = (rows * groups).div_ceil(QUANTIZE_GROUPS.workgroup as usize);
    rec.dispatch(&QUANTIZE_GROUPS, &[], &params, &args, workgroups, Cost::of(3.0 * x.len() as f64, &args))?;
    Ok((codes, steps))
}
