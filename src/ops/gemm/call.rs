//! One product: its operands, and what every family's kernel takes of it.

use crate::error::Result;
use crate::gpu::kernel::{READ, READ_OPTIONAL, VECTOR_OPTIONAL, WEIGHT, WRITE, params};
use crate::gpu::{Arg, Cost, Family, Recorder, Slot, Tensor};
use crate::ops::{epilogue::Epilogue, tuned::fastest_tile};

pub(super) const BIAS: Slot = Slot::read("bias", VECTOR_OPTIONAL);
pub(super) const GATE: Slot = Slot::read("gate", VECTOR_OPTIONAL);
pub(super) const RESIDUAL: Slot = Slot::read("residual", READ_OPTIONAL);
pub(super) const OUT: Slot = Slot::write("out", WRITE);
pub(super) const SLOTS: &[Slot] = &[Slot::read("x", READ), Slot::read("w", WEIGHT), BIAS, GATE, RESIDUAL, OUT];

/// Fewer rows are no matter for tiles: [`reg`] makes them column by column in every family.
pub(super) const FEW_ROWS: usize = 16;

/// Of fewer rows a product is too short to be timed.
pub(super) const WORTH_TUNING: usize = 128;

// Of every family's kernel.
params!(Params { rows: u32, cols: u32, inner: u32, shard: u32, first: u32, column_groups: u32 });

/// x times a run of rows of the whole matrix, for the columns of `out` from `first` on.
#[derive(Clone, Copy)]
pub(crate) struct Gemm<'a> {
    pub(crate) x: &'a Tensor,
    pub(crate) w: &'a Tensor,
    pub(crate) first: usize,
    pub(crate) epilogue: Epilogue<'a>,
    pub(crate) out: &'a Tensor,
}

impl<'a> Gemm<'a> {
    /// The fastest of `count` tiles by timing this very product, which `record` records with one of them; none where tiles are not timed.
    pub(super) fn tuned(
        &self,
        rec: &mut Recorder,
        family: Family,
        count: usize,
        record: impl Fn(&mut Recorder, usize) -> Result<()>,
    ) -> Option<usize> {
        if self.x.rows() < WORTH_TUNING {
            return None;
        }
        let [rows, cols, inner] = [self.x.rows(), self.w.rows(), self.x.cols()].map(usize::next_power_of_two);
        let class = format!("matmul {family}, {rows}x{cols}x{inner}, {} by {}", self.x.dtype(), self.w.dtype());
        fastest_tile(rec, &class, count, record)
    }

    pub(super) fn cost(&self, args: &[Arg]) -> Cost {
        Cost::of(2.0 * self.x.len() as f64 * self.w.rows() as f64, args)
    }

    /// For tiles that many columns wide.
    pub(super) fn params(&self, tile_cols: u32) -> Params {
        Params {
            rows: self.x.rows() as u32,
            cols: self.out.cols() as u32,
            inner: self.x.cols() as u32,
            shard: self.w.rows() as u32,
            first: self.first as u32,
            column_groups: (self.w.rows() as u32).div_ceil(tile_cols),
        }
    }

    /// What follows the operands in every kernel's slots.
    pub(super) fn epilogue_args(&self) -> [Arg<'a>; 4] {
        let Epilogue { bias, gate, residual, .. } = self.epilogue;
        [Arg::optional_rows(bias), Arg::optional_rows(gate), Arg::optional_rows(residual), Arg::rows(self.out)]
    }

    /// [`SLOTS`]
    pub(super) fn args(&self) -> [Arg<'a>; 6] {
        let [bias, gate, residual, out] = self.epilogue_args();
        [Arg::rows(self.x), Arg::rows(self.w), bias, gate, residual, out]
    }

    /// The constants that lib/activation and lib/epilogue take.
    pub(super) fn epilogue_constants(&self) -> [(&'static str, u32); 2] {
        [("ACT", self.epilogue.activation as u32), ("GATED", u32::from(self.epilogue.gate.is_some()))]
    }
}
