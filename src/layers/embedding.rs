//! Embedding tables too large to upload.

use std::cell::Cell;

use crate::error::{Error, Result};
use crate::layers::Loader;
use crate::weights::claim::Claim;

/// A table [R, C] that stays in the mapped file: only the rows that are asked for are converted.
#[derive(Debug)]
pub struct Embedding<'a> {
    table: Option<Claim<'a>>,
    rows: usize,
    checked: Cell<bool>,
}

impl<'a> Embedding<'a> {
    /// `name.weight` [rows, cols].
    pub fn load(loader: &Loader<'a>, name: &str, rows: usize, cols: usize) -> Result<Self> {
        Ok(Self { table: loader.scope(name).claim("weight", &[rows, cols])?, rows, checked: Cell::new(false) })
    }

    /// The rows of those numbers, one after another: [L, C].
    ///
    /// # Errors
    /// [`Error::Input`] for a number that the table does not have; [`Error::Weights`] where the table is not finite.
    pub fn rows(&self, numbers: &[u32]) -> Result<Vec<f32>> {
        let Some(table) = self.table else { return Ok(Vec::new()) };
        if !self.checked.replace(true) {
            // All of it is looked at, whatever is asked for: a NaN says that the file is damaged, wherever it is.
            table.check_finite()?;
        }
        let row = |&number: &u32| {
            table.read_row(number as usize).unwrap_or_else(|| {
                let (rows, last) = (self.rows, self.rows.saturating_sub(1));
                let message = format!("token {number} is not in the vocabulary of {rows}, 0 to {last}; tokenizer and encoder must fit");
                Err(Error::Input(message))
            })
        };
        Ok(numbers.iter().map(row).collect::<Result<Vec<_>>>()?.concat())
    }
}
