//! Matrix products with a weight matrix, and what follows them in the same pass.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::ops::{epilogue::Epilogue, gemm::call::Gemm, gemm::int8, matrix::Matrix, operand::operand_dtype};
use crate::shape::Dims;

/// x [L, K] times w [N, K] transposed, then the epilogue: [L, N], stored as `dtype` (f16 where N is a multiple of four).
pub fn matmul(rec: &mut Recorder, x: &Tensor, w: &Matrix, epilogue: Epilogue, dtype: DType) -> Result<Tensor> {
    product(rec, x, w, epilogue, dtype, |gemm, rec| gemm.record(rec))
}

/// The same of operands that are rounded to 8 bits, where rows are whole groups of 32 and there are enough of them.
pub fn matmul_int8(rec: &mut Recorder, x: &Tensor, w: &Matrix, epilogue: Epilogue, dtype: DType) -> Result<Tensor> {
    match int8::fits(x, w.cols()) {
        true => product(rec, x, w, epilogue, dtype, |gemm, rec| gemm.record_int8(rec)),
        false => matmul(rec, x, w, epilogue, dtype),
    }
}

fn product(
    rec: &mut Recorder,
    x: &Tensor,
    w: &Matrix,
    epilogue: Epilogue,
    dtype: DType,
    record: impl Fn(&Gemm, &mut Recorder) -> Result<()>,
) -> Result<Tensor> {
    let dims = Dims::new().check("x", x, &["L", "K"])?;
    if w.cols() != dims.get("K") {
        return Err(Error::Input(format!("w: K is {}, was {}", w.cols(), dims.get("K"))));
    }
    let out = rec.alloc(&[dims.get("L"), w.rows()], operand_dtype(dtype, w.rows()))?;
    dims.check("out", &out, &["L", "N"])?
        .check_optional("bias", epilogue.bias, &["N"])?
        .check_optional("gate", epilogue.gate, &["N"])?
        .check_optional("residual", epilogue.residual, &["L", "N"])?;
    w.for_each_run(rec, |rec, first, run| record(&Gemm { x, w: run, first, epilogue, out: &out }, rec))?;
    Ok(out)
}
