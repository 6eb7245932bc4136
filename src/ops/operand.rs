//! How operands are stored.

use crate::dtype::DType;

/// The element type to store an operand of `cols` columns in: the wanted one where rows of it can be stored.
pub fn operand_dtype(wanted: DType, cols: usize) -> DType {
    if cols.is_multiple_of(4) { wanted } else { DType::F32 }
}
