//! What every format's reader says of a tensor.

use std::collections::BTreeMap;
use std::ops::Range;

use super::encoding::Encoding;

/// A tensor in a file.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) encoding: Encoding,
    pub(super) shape: Vec<usize>,
    /// Its bytes, counted from the start of the file; all of them lie within it.
    pub(super) range: Range<usize>,
    /// How many elements apart neighbours along each axis lie, where they do not lie densely.
    pub(super) strides: Option<Vec<usize>>,
}

/// What a file says about itself, as texts by name.
pub(super) type Metadata = BTreeMap<String, String>;

/// How many elements a shape has, or `None` where that overflows, be it only but for an extent of 0: sizes made of some extents fit then too.
pub(super) fn elements(shape: &[u64]) -> Option<u64> {
    let long = shape.iter().filter(|&&dim| dim != 0).try_fold(1u64, |product, &dim| product.checked_mul(dim))?;
    Some(if shape.contains(&0) { 0 } else { long })
}
