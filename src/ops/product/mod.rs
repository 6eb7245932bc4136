//! The product that [`matmul`](crate::ops::matmul::matmul) is made of, once for each family of kernels.

pub mod coop;
pub mod reg;
pub mod sg;
pub mod tiled;

use bytemuck::{Pod, Zeroable};

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::arg::Arg;
use crate::gpu::kernel::{READ, READ_OPTIONAL, Slot, VECTOR_OPTIONAL, WEIGHT, WRITE};
use crate::gpu::{Device, Family, Recorder, Sink, family};
use crate::ops::fastest_tile;
use crate::ops::matmul::Epilogue;
use crate::tensor::Tensor;

const EPILOGUE: &str = include_str!("../../../wgsl/lib/epilogue.wgsl");

const BIAS: Slot = Slot::read("bias", VECTOR_OPTIONAL);
const GATE: Slot = Slot::read("gate", VECTOR_OPTIONAL);
const RESIDUAL: Slot = Slot::read("residual", READ_OPTIONAL);
const OUT: Slot = Slot::write("out", WRITE);
const SLOTS: &[Slot] = &[Slot::read("x", READ), Slot::read("w", WEIGHT), BIAS, GATE, RESIDUAL, OUT];

/// Fewer rows are no matter for tiles: [`reg`] makes them column by column in every family.
const FEW_ROWS: usize = 16;

/// Of fewer rows a product is too short to be timed.
const WORTH_TUNING: usize = 128;

/// Of every family's kernel.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    rows: u32,
    cols: u32,
    inner: u32,
    shard: u32,
    first: u32,
    column_groups: u32,
}

/// x times a run of rows of the whole matrix, for the columns of `out` from `first` on.
#[derive(Clone, Copy)]
pub(super) struct Product<'a> {
    pub(super) x: &'a Tensor,
    pub(super) w: &'a Tensor,
    pub(super) first: usize,
    pub(super) epilogue: Epilogue<'a>,
    pub(super) out: &'a Tensor,
}

impl<'a> Product<'a> {
    /// In the family that suits the device.
    pub(super) fn record(&self, rec: &mut Recorder) -> Result<()> {
        let device = rec.device().clone();
        let family = match self.x.rows() {
            ..=FEW_ROWS => Family::Reg,
            _ => device.family("matmul", |family| family != Family::Coop || coop::fits(self), |family| test(&device, family)),
        };
        self.record_in(rec, family)
    }

    fn record_in(&self, rec: &mut Recorder, family: Family) -> Result<()> {
        match family {
            Family::Tiled => tiled::record(rec, self),
            Family::Sg => sg::record(rec, self),
            Family::Coop => coop::record(rec, self),
            Family::Reg => reg::record(rec, self),
        }
    }

    /// The fastest of `count` tiles by timing this very product, which `record` records with one of them; none where tiles are not timed.
    fn tuned(
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

    /// For tiles that many columns wide.
    fn params(&self, tile_cols: u32) -> Params {
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
    fn epilogue_args(&self) -> [Arg<'a>; 4] {
        let Epilogue { bias, gate, residual, .. } = self.epilogue;
        [Arg::optional_rows(bias), Arg::optional_rows(gate), Arg::optional_rows(residual), Arg::rows(self.out)]
    }

    /// [`SLOTS`]
    fn args(&self) -> [Arg<'a>; 6] {
        let [bias, gate, residual, out] = self.epilogue_args();
        [Arg::rows(self.x), Arg::rows(self.w), bias, gate, residual, out]
    }

    /// The constants that lib/activation and lib/epilogue take.
    fn epilogue_constants(&self) -> [(&'static str, u32); 2] {
        [("ACT", self.epilogue.activation as u32), ("GATED", u32::from(self.epilogue.gate.is_some()))]
    }
}

/// A small product, of tails and whole tiles, whose every number is exact in f16 and whose sums are in f32.
fn test(device: &Device, family: Family) -> Result<()> {
    const ROWS: usize = 36;
    const COLS: usize = 72;
    const INNER: usize = 44;
    let number = |i: usize, seed: usize| ((i * 37 + seed) % 31) as f32 / 8.0 - 2.0;
    let x: Vec<_> = (0..ROWS * INNER).map(|i| number(i, 5)).collect();
    let w: Vec<_> = (0..COLS * INNER).map(|i| number(i * 3, 11)).collect();
    let dot = |i: usize| (0..INNER).map(|k| x[i / COLS * INNER + k] * w[i % COLS * INNER + k]).sum();
    let exact: Vec<f32> = (0..ROWS * COLS).map(dot).collect();

    let upload =
        |shape: &[usize], values: &[f32]| device.upload("test", shape, DType::F16, bytemuck::cast_slice(&crate::dtype::to_f16(values)));
    let (x, w) = (upload(&[ROWS, INNER], &x)?, upload(&[COLS, INNER], &w)?);
    let mut rec = Recorder::new(device, crate::Cancel::new());
    let out = rec.alloc(&[ROWS, COLS], DType::F32)?;
    Product { x: &x, w: &w, first: 0, epilogue: Epilogue::default(), out: &out }.record_in(&mut rec, family)?;
    family::agree(&rec.download(&out)?, &exact, 1e-3)
}
