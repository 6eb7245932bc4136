//! What a model asks a checkpoint for.

use std::fmt;

use super::quantized::{Quantized, QuantizedForm};
use super::tensor::Tensor;
use super::view::{TensorView, position};
use crate::dtype::DType;
use crate::error::{Error, Result};

/// A tensor that a model asked for by name and shape, to be read when it is needed.
#[derive(Clone, Copy)]
pub struct Claim<'a> {
    pub(super) name: &'a str,
    pub(super) tensor: &'a Tensor,
}

impl<'a> Claim<'a> {
    /// How the elements of [`Claim::read`] are stored.
    pub fn dtype(&self) -> DType {
        self.tensor.dtype()
    }

    /// The elements as they lie in the mapped file wherever models can compute with that form.
    pub fn read(&self) -> TensorView<'a> {
        let info = &self.tensor.stored.info;
        TensorView { name: self.name, file: &info.file, dtype: self.dtype(), shape: &info.shape, bytes: self.tensor.elements() }
    }

    /// What is known of [`Claim::read_quantized`]; `None` where the stored form is none to compute with, or LoRAs change it in more than low rank.
    pub fn form(&self) -> Option<QuantizedForm> {
        self.tensor.form()
    }

    /// The elements in their stored form, where there is a [`form`](Self::form).
    ///
    /// # Errors
    /// [`Error::Weights`] where LoRAs make them too large.
    pub fn read_quantized(&self) -> Result<Quantized<'a>> {
        self.tensor.quantized()
    }

    /// One place of the first axis in f32, or `None` where there is no such place.
    ///
    /// # Errors
    /// [`Error::Weights`] where it holds a NaN or an infinity.
    pub fn read_row(&self, number: usize) -> Result<Option<Vec<f32>>> {
        let Some(row) = number.checked_add(1).and_then(|end| self.tensor.stored.rows(number..end)) else { return Ok(None) };
        let values = row.to_f32();
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(Some(values)),
            Some(index) => {
                let place = position(number * values.len() + index, &self.tensor.stored.info.shape);
                Err(Error::tensor(&row.info.file, self.name, format!("element {place:?} is NaN or infinite: the checkpoint is damaged")))
            }
        }
    }
}

impl fmt::Debug for Claim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_tuple("Claim").field(&self.name).finish()
    }
}
