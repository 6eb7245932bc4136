//! Tensors on the GPU: a buffer, a shape and an element type. Always dense, last axis contiguous.

use std::sync::Arc;

use crate::dtype::DType;
use crate::gpu::{arena::Allocation, arena::Arena, command::BufferRef};

/// Data on the GPU. Cloning shares it; the memory is reused when the last clone drops.
#[derive(Clone, Debug)]
pub struct Tensor {
    block: Arc<Allocation>,
    shape: Vec<usize>,
    dtype: DType,
}

impl Tensor {
    pub(crate) fn new(block: Allocation, shape: &[usize], dtype: DType) -> Self {
        Self { block: Arc::new(block), shape: shape.to_vec(), dtype }
    }

    /// Sizes of the axes, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How an element is stored.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size of the last axis; 1 where there are no axes.
    pub fn cols(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Number of rows along the last axis.
    pub fn rows(&self) -> usize {
        self.len() / self.cols().max(1)
    }

    /// Whether the other is the same tensor: the same data in the same place, of the same shape.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.block, &other.block) && self.shape == other.shape && self.dtype == other.dtype
    }

    /// The same data under another shape of as many elements.
    ///
    /// # Panics
    /// If the counts differ, which is a mistake in the calling model code.
    pub fn reshape(&self, shape: &[usize]) -> Self {
        assert_eq!(self.len(), shape.iter().product::<usize>(), "reshape of {:?} to {shape:?}", self.shape);
        Self { block: self.block.clone(), shape: shape.to_vec(), dtype: self.dtype }
    }

    /// The first rows along the first axis.
    ///
    /// # Panics
    /// If there are not so many, which is a mistake in the calling model code.
    pub fn first(&self, rows: usize) -> Self {
        assert!(rows <= self.shape[0], "{rows} rows of {:?}", self.shape);
        let mut shape = self.shape.clone();
        shape[0] = rows;
        Self { block: self.block.clone(), shape, dtype: self.dtype }
    }

    /// The buffer that holds the data, from its first byte.
    ///
    /// # Panics
    /// Where the device is [dry](crate::Device::dry), which has no buffers.
    pub fn buffer(&self) -> &wgpu::Buffer {
        self.block.buffer()
    }

    /// Where the buffer goes back to; none for weights that stay.
    pub(super) fn home(&self) -> Option<Arc<Arena>> {
        self.block.home()
    }

    /// The buffer for a command.
    pub(super) fn buffer_ref(&self) -> BufferRef {
        self.block.to_ref()
    }

    /// Bytes of that buffer: those of the data, and some more.
    pub fn buffer_bytes(&self) -> u64 {
        self.block.bytes()
    }
}

impl AsRef<[usize]> for Tensor {
    fn as_ref(&self) -> &[usize] {
        &self.shape
    }
}
