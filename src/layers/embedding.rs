//! Embedding tables too large to upload.

use half::{bf16, f16};

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::layers::Loader;
use crate::weights::TensorView;

/// A table [R, C] that stays in the mapped file: only the rows that are asked for are read.
#[derive(Debug)]
pub struct Embedding<'a> {
    table: TensorView<'a>,
    rows: usize,
    cols: usize,
}

impl<'a> Embedding<'a> {
    /// `name.weight` [rows, cols].
    pub fn load(loader: &Loader<'a>, name: &str, rows: usize, cols: usize) -> Result<Self> {
        Ok(Self { table: loader.scope(name).view("weight", &[rows, cols])?, rows, cols })
    }

    /// The rows of those numbers, one after another: [L, C].
    ///
    /// # Errors
    /// [`Error::Input`] for a number that the table does not have.
    pub fn rows(&self, numbers: &[u32]) -> Result<Vec<f32>> {
        let mut values = Vec::with_capacity(numbers.len() * self.cols);
        for &number in numbers {
            let bytes = self.row(number as usize).ok_or_else(|| {
                let (rows, last) = (self.rows, self.rows.saturating_sub(1));
                Error::Input(format!("token {number} is not in the vocabulary of {rows}, 0 to {last}; tokenizer and encoder must fit"))
            })?;
            values.extend(floats(bytes, self.table.dtype));
        }
        Ok(values)
    }

    fn row(&self, number: usize) -> Option<&[u8]> {
        let bytes = self.cols * self.table.dtype.bytes() as usize;
        self.table.bytes.get(number.checked_mul(bytes)?..)?.get(..bytes)
    }
}

fn floats(bytes: &[u8], dtype: DType) -> impl Iterator<Item = f32> + '_ {
    bytes.chunks_exact(dtype.bytes() as usize).map(move |element| match (dtype, element) {
        (DType::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
        (DType::F16, &[a, b]) => f16::from_le_bytes([a, b]).to_f32(),
        (DType::Bf16, &[a, b]) => bf16::from_le_bytes([a, b]).to_f32(),
        _ => f32::NAN,
    })
}
