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
    /// [`Error::Weights`](crate::Error::Weights) where LoRAs make them too large.
    pub fn read_quantized(&self) -> Result<Quantized<'a>> {
        self.tensor.quantized()
    }

    /// Makes sure that no element is NaN or infinite.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::Error::Weights) naming the tensor and its first bad element.
    pub fn check_finite(&self) -> Result<()> {
        match self.form() {
            Some(_) if !self.read_quantized()?.may_be_infinite() => Ok(()),
            _ => self.read().check_finite(),
        }
    }

    /// One place of the first axis in f32, without what LoRAs add, or `None` where there is no such place.
    pub fn read_row(&self, number: usize) -> Option<Vec<f32>> {
        Some(self.tensor.stored.rows(number..number.checked_add(1)?)?.to_f32())
    }
}

impl fmt::Debug for Claim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_tuple("Claim").field(&self.name).finish()
    }
}
