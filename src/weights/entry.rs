//! What every format's reader says of a tensor.

use std::ops::Range;

use super::Encoding;

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
