//! What a model asks a checkpoint for: found out by loading it.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// The tensors of a model by name, once it was loaded by a [recording](super::Loader::recording) loader.
#[derive(Debug, Default)]
pub struct Schema(RefCell<BTreeMap<String, Asked>>);

/// What is asked for under one name.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its extents.
    pub shape: Vec<usize>,
    /// Whether it is a matrix to multiply with in a precision that the user chooses, which may be quantised.
    pub is_operand: bool,
}

impl Schema {
    pub(super) fn add(&self, name: String, shape: &[usize], is_operand: bool) {
        let asked = Asked { shape: shape.to_vec(), is_operand: is_operand && shape.len() == 2 };
        self.0.borrow_mut().insert(name, asked);
    }

    /// All that was asked for.
    pub fn into_tensors(self) -> BTreeMap<String, Asked> {
        self.0.into_inner()
    }
}
