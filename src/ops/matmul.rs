//! Matrix products with a weight matrix, and what follows them in the same pass.

use bytemuck::{Pod, Zeroable};

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::Recorder;
use crate::gpu::kernel::{Arg, Kernel, Needs, READ, READ_OPTIONAL, Slot, VECTOR_OPTIONAL, WEIGHT, WRITE};
use crate::ops::matrix::Matrix;
use crate::ops::{ACTIVATION, ACTIVATIONS, Activation};
use crate::shape::Dims;
use crate::tensor::Tensor;

/// See `wgsl/matmul.wgsl`.
pub static MATMUL: Kernel = Kernel {
    name: "matmul",
    source: include_str!("../../wgsl/matmul.wgsl"),
    libs: &[ACTIVATION],
    workgroup: 64,
    slots: &[
        Slot::read("x", READ),
        Slot::read("w", WEIGHT),
        Slot::read("bias", VECTOR_OPTIONAL),
        Slot::read("gate", VECTOR_OPTIONAL),
        Slot::read("residual", READ_OPTIONAL),
        Slot::write("out", WRITE),
    ],
    params_bytes: size_of::<Params>(),
    variants: &[
        &[("TM", &[8]), ("TN", &[8]), ("WN", &[8]), ("ACT", ACTIVATIONS), ("GATED", &[0, 1])],
        &[("TM", &[8]), ("TN", &[4]), ("WN", &[4]), ("ACT", ACTIVATIONS), ("GATED", &[0, 1])],
        &[("TM", &[1]), ("TN", &[4]), ("WN", &[16]), ("ACT", ACTIVATIONS), ("GATED", &[0, 1])],
    ],
    needs: Needs::Nothing,
};

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

/// What follows a product before it is stored: `residual + gate * activation(product + bias)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// `[N]`, added to each row.
    pub bias: Option<&'a Tensor>,
    /// Applied after the bias.
    pub activation: Activation,
    /// `[N]`, multiplied with each row; needs no residual.
    pub gate: Option<&'a Tensor>,
    /// [L, N], added last.
    pub residual: Option<&'a Tensor>,
}

/// x [L, K] times w [N, K] transposed, then the epilogue: [L, N], stored as `dtype` (f16 where N is a multiple of four).
pub fn matmul(rec: &mut Recorder, x: &Tensor, w: &Matrix, epilogue: Epilogue, dtype: DType) -> Result<Tensor> {
    let dims = Dims::new().check("x", x, &["L", "K"])?;
    if w.cols() != dims.get("K") {
        return Err(Error::Input(format!("w: K is {}, was {}", w.cols(), dims.get("K"))));
    }
    let out = rec.alloc(&[dims.get("L"), w.rows()], super::operand_dtype(dtype, w.rows()))?;
    dims.check("out", &out, &["L", "N"])?
        .check_optional("bias", epilogue.bias, &["N"])?
        .check_optional("gate", epilogue.gate, &["N"])?
        .check_optional("residual", epilogue.residual, &["L", "N"])?;
    w.for_each_run(rec, |rec, first, run| product(rec, x, run, first, epilogue, &out))?;
    Ok(out)
}

/// x times a run of rows of the whole matrix: the columns of `out` from `first` on.
pub(super) fn product(rec: &mut Recorder, x: &Tensor, run: &Tensor, first: usize, epilogue: Epilogue, out: &Tensor) -> Result<()> {
    let (rows, inner) = (x.rows(), x.cols());
    let tile = Tile::choose(rows, run.rows());
    let column_groups = run.rows().div_ceil((tile.wn * tile.tn) as usize);
    let row_groups = rows.div_ceil((MATMUL.workgroup / tile.wn * tile.tm) as usize);
    let params = Params {
        rows: rows as u32,
        cols: out.cols() as u32,
        inner: inner as u32,
        shard: run.rows() as u32,
        first: first as u32,
        column_groups: column_groups as u32,
    };
    let constants = [
        ("TM", tile.tm),
        ("TN", tile.tn),
        ("WN", tile.wn),
        ("ACT", epilogue.activation as u32),
        ("GATED", u32::from(epilogue.gate.is_some())),
    ];
    let args = [
        Arg::rows(x),
        Arg::rows(run),
        Arg::optional_rows(epilogue.bias),
        Arg::optional_rows(epilogue.gate),
        Arg::optional_rows(epilogue.residual),
        Arg::rows(out),
    ];
    let work = 2.0 * f64::from(MATMUL.workgroup * tile.tm * tile.tn) * inner as f64;
    rec.dispatch(&MATMUL, &constants, &params, &args, row_groups * column_groups, work)
}

/// Rows and columns of a lane, and lanes across a workgroup.
struct Tile {
    tm: u32,
    tn: u32,
    wn: u32,
}

impl Tile {
    fn choose(rows: usize, cols: usize) -> Self {
        match (rows, cols) {
            (..=16, _) => Self { tm: 1, tn: 4, wn: 16 },
            (_, ..=16) => Self { tm: 8, tn: 4, wn: 4 },
            _ => Self { tm: 8, tn: 8, wn: 8 },
        }
    }
}
