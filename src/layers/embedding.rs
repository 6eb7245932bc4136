//! Embedding tables too large to upload.

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::layers::Loader;
use crate::weights::TensorView;

/// A table [R, C] that stays in the mapped file: only the rows that are asked for are converted.
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
    /// [`Error::Input`] for a number that the table does not have; [`Error::Weights`] for a row that is not finite.
    pub fn rows(&self, numbers: &[u32]) -> Result<Vec<f32>> {
        let mut values = Vec::with_capacity(numbers.len() * self.cols);
        for &number in numbers {
            let row = self.row(number as usize).ok_or_else(|| {
                let (rows, last) = (self.rows, self.rows.saturating_sub(1));
                Error::Input(format!("token {number} is not in the vocabulary of {rows}, 0 to {last}; tokenizer and encoder must fit"))
            })?;
            values.extend(row.to_f32()?);
        }
        Ok(values)
    }

    fn row(&self, number: usize) -> Option<TensorView<'_>> {
        let TensorView { name, file, dtype, shape, ref bytes } = self.table;
        let length = self.cols * dtype.bytes() as usize;
        let bytes = bytes.get(number.checked_mul(length)?..)?.get(..length)?;
        Some(TensorView { name, file, dtype, shape: &shape[1..], bytes: Cow::Borrowed(bytes) })
    }
}
