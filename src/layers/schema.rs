//! What a model asks a checkpoint for: found out by loading it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// Models of 14B have 1,300 tensors, the largest of a billion numbers.
const MOST_TENSORS: usize = 1 << 17;
const MOST_ELEMENTS: u64 = 1 << 40;

/// The tensors of a model by name, once it was loaded by a [recording](super::Loader::recording) loader.
#[derive(Debug, Default)]
pub struct Schema(RefCell<BTreeMap<String, Asked>>);

/// What is asked for under one name.
#[derive(Clone, Debug)]
pub struct Asked {
    pub shape: Vec<usize>,
    /// Whether it is a matrix to multiply with in a precision that the user chooses, which may be quantised.
    pub is_operand: bool,
}

impl Schema {
    /// # Errors
    /// [`Error::Input`] for more tensors, or a larger one, than any model has: configurations can say anything.
    pub(super) fn add(&self, name: String, shape: &[usize], is_operand: bool) -> Result<()> {
        let elements = shape.iter().try_fold(1, |product: u64, &size| product.checked_mul(size as u64));
        let mut tensors = self.0.borrow_mut();
        if tensors.len() >= MOST_TENSORS || elements.is_none_or(|elements| elements > MOST_ELEMENTS) {
            let count = tensors.len();
            return Err(Error::Input(format!(
                "no model has a tensor `{name}` of shape {shape:?} after {count} others: the configuration is damaged"
            )));
        }
        tensors.insert(name, Asked { shape: shape.to_vec(), is_operand: is_operand && shape.len() == 2 });
        Ok(())
    }

    /// All that was asked for.
    pub fn into_tensors(self) -> BTreeMap<String, Asked> {
        self.0.into_inner()
    }
}
