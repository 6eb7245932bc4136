//! Embedding lookup.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::kernel::{INDEX, VECTOR, WEIGHT, params};
use crate::gpu::{Arg, Cost, Kernel, Recorder, Slot, Tensor};
use crate::ops::matrix::Matrix;

pub static GATHER: Kernel = Kernel {
    slots: &[Slot::read("rows", INDEX), Slot::read("table", WEIGHT), Slot::write("out", VECTOR)],
    ..Kernel::of("gather", include_str!("../../wgsl/gather.wgsl"), size_of::<Params>())
};

params!(Params { count: u32, cols: u32, first: u32, shard: u32 });

/// Rows of a table [R, C] by their numbers: [L, C] in f32.
pub fn gather(rec: &mut Recorder, table: &Matrix, rows: &[u32]) -> Result<Tensor> {
    if let Some(row) = rows.iter().find(|&&row| row as usize >= table.rows()) {
        return Err(Error::Input(format!("row {row} of a table of {}", table.rows())));
    }
    let out = rec.alloc(&[rows.len(), table.cols()], DType::F32)?;
    let indices = rec.upload_indices(rows)?;
    table.for_each_run(rec, |rec, first, run| {
        let params = Params { count: rows.len() as u32, cols: table.cols() as u32, first: first as u32, shard: run.rows() as u32 };
        let groups = (rows.len() * table.cols().div_ceil(4)).div_ceil(64);
        // Of the table no more than the rows of the result.
        let bytes = out.len() as f64 * (4 + run.dtype().bytes()) as f64;
        let args = [Arg::index(&indices), Arg::rows(run), Arg::rows(&out)];
        rec.dispatch(&GATHER, &[], &params, &args, groups, Cost { flops: 0.0, bytes })
    })?;
    Ok(out)
}
