//! What a model asks a checkpoint for.

use std::fmt;

use super::{quantized::Quantized, quantized::QuantizedForm, tensor::Tensor, view::TensorView};
use crate::dtype::DType;
use crate::error::Result;

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

    /// The elements as they lie in the file wherever models can compute with that form.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) where they cannot be read.
    pub fn read(&self) -> Result<TensorView<'a>> {
        let info = &self.tensor.stored.info;
        Ok(TensorView { name: self.name, file: &info.file, dtype: self.dtype(), shape: &info.shape, bytes: self.tensor.elements()? })
    }

    /// What is known of [`Claim::read_quantized`]; `None` where the stored form is none to compute with, or LoRAs change it in more than low rank.
    pub fn form(&self) -> Option<QuantizedForm> {
        self.tensor.form()
    }

    /// The elements in their stored form, where there is a [`form`](Self::form).
    ///
    /// # Errors
    /// [`Error::Weights`](crate::Error::Weights) where LoRAs make them too large; [`Error::Io`](crate::Error::Io) where they cannot be read.
    pub fn read_quantized(&self) -> Result<Quantized<'a>> {
        self.tensor.quantized()
    }

    /// Makes sure that no element is NaN or infinite.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::Error::Weights) naming the tensor and its first bad element.
    pub fn check_finite(&self) -> Result<()> {
        // The tensors of a vocabulary are long: what is not mapped need not be in memory at once.
        let mut runs = self.tensor.stored.runs().map(|(_, run)| Tensor::from(run));
        if self.tensor.deltas.is_empty() && runs.all(|run| Claim { name: self.name, tensor: &run }.is_finite().unwrap_or(false)) {
            return Ok(());
        }
        if self.is_finite()? { Ok(()) } else { self.read()?.check_finite() }
    }

    fn is_finite(&self) -> Result<bool> {
        match self.form() {
            Some(_) if !self.read_quantized()?.may_be_infinite() => Ok(true),
            _ => Ok(self.read()?.check_finite().is_ok()),
        }
    }

    /// One place of the first axis in f32, without what LoRAs add, or `None` where there is no such place.
    pub fn read_row(&self, number: usize) -> Option<Result<Vec<f32>>> {
        Some(self.tensor.stored.rows(number..number.checked_add(1)?)?.to_f32())
    }
}

impl fmt::Debug for Claim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_tuple("Claim").field(&self.name).finish()
    }
}
