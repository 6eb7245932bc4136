//! Matrix products with a weight matrix, and what follows them in the same pass.

use bytemuck::{Pod, Zeroable};

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::arena::largest_buffer;
use crate::gpu::kernel::{Arg, Kernel, Needs, READ, READ_OPTIONAL, Slot, VECTOR_OPTIONAL, WEIGHT, WRITE};
use crate::gpu::{Recorder, Sink};
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

/// A weight matrix [rows, cols] on the GPU, out features by in features as in a checkpoint, cut into runs of rows where it is
/// larger than one binding may be.
#[derive(Clone, Debug)]
pub struct Matrix {
    shards: Vec<Tensor>,
    rows: usize,
    cols: usize,
}

impl Matrix {
    /// Uploads `bytes`, the matrix in row-major order. 16-bit rows must be a multiple of four long.
    pub fn upload(sink: &dyn Sink, label: &str, shape: [usize; 2], dtype: DType, bytes: &[u8]) -> Result<Self> {
        let [rows, cols] = shape;
        let row_bytes = cols * dtype.bytes() as usize;
        if bytes.is_empty() || bytes.len() != rows * row_bytes {
            return Err(Error::Input(format!("`{label}`: {} bytes for {dtype} [{rows}, {cols}]", bytes.len())));
        }
        if dtype != DType::F32 && cols % 4 != 0 {
            return Err(Error::Unsupported(format!("`{label}`: {dtype} rows of {cols}, which is no multiple of four")));
        }
        let most = largest_buffer(&sink.device()) as usize;
        let rows_a_shard = (most / row_bytes) & !3;
        if rows_a_shard == 0 {
            return Err(Error::Limits(format!("`{label}`: four rows of {row_bytes} bytes are past the limit of {most} a binding")));
        }
        let shards = bytes
            .chunks(rows_a_shard.min(rows) * row_bytes)
            .map(|chunk| sink.upload(label, &[chunk.len() / row_bytes, cols], dtype, chunk))
            .collect::<Result<_>>()?;
        Ok(Self { shards, rows, cols })
    }

    /// Out features.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// In features.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The runs of rows, in order.
    pub fn shards(&self) -> &[Tensor] {
        &self.shards
    }
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
    if w.cols != dims.get("K") {
        return Err(Error::Input(format!("w: K is {}, was {}", w.cols, dims.get("K"))));
    }
    let out = rec.alloc(&[dims.get("L"), w.rows], super::operand_dtype(dtype, w.rows))?;
    dims.check("out", &out, &["L", "N"])?
        .check_optional("bias", epilogue.bias, &["N"])?
        .check_optional("gate", epilogue.gate, &["N"])?
        .check_optional("residual", epilogue.residual, &["L", "N"])?;
    let mut first = 0;
    for shard in &w.shards {
        run(rec, x, shard, first, epilogue, &out)?;
        first += shard.rows();
    }
    Ok(out)
}

fn run(rec: &mut Recorder, x: &Tensor, shard: &Tensor, first: usize, epilogue: Epilogue, out: &Tensor) -> Result<()> {
    let (rows, inner) = (x.rows(), x.cols());
    let tile = Tile::choose(rows, shard.rows());
    let column_groups = shard.rows().div_ceil((tile.wn * tile.tn) as usize);
    let row_groups = rows.div_ceil((MATMUL.workgroup / tile.wn * tile.tm) as usize);
    let params = Params {
        rows: rows as u32,
        cols: out.cols() as u32,
        inner: inner as u32,
        shard: shard.rows() as u32,
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
        Arg::rows(shard),
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
