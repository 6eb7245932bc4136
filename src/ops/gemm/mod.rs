//! The product that [`matmul`](crate::ops::matmul::matmul) is made of, once for each family of kernels.

pub mod call;
pub mod coop;
pub mod int8;
pub mod reg;
pub mod sg;
pub mod tiled;

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Device, Family, Recorder, Sink, family};
use crate::ops::{epilogue::Epilogue, gemm::call::FEW_ROWS, gemm::call::Gemm};

impl Gemm<'_> {
    /// In the family that suits the device.
    pub(crate) fn record(&self, rec: &mut Recorder) -> Result<()> {
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
    Gemm { x: &x, w: &w, first: 0, epilogue: Epilogue::default(), out: &out }.record_in(&mut rec, family)?;
    family::agree(&rec.download(&out)?, &exact, 1e-3)
}
