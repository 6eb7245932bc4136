//! Work for the GPU as data: what ops record, an [`Engine`](crate::gpu::engine::Engine) runs or prices.

use std::ops::Range;

use crate::gpu::{cost::Cost, kernel::Kernel, pipeline::PipelineKey};

/// Bytes of immediate data (push constants) that kernels use: the dispatch's grid and the kernel's `ParamBytes`.
pub(crate) const IMMEDIATE_BYTES: usize = 128;
/// Bytes of the grid: first and last workgroup of a slice, its width, and one word that is left free.
const GRID_BYTES: usize = 16;

/// A buffer that a command reads or writes. It may be given out again before the command has run: later commands come after it.
#[derive(Clone, Debug)]
pub(crate) struct BufferRef {
    /// None on a [dry](crate::Device::dry) device.
    pub(super) buffer: Option<wgpu::Buffer>,
    pub(super) bytes: u64,
}

/// One kernel over workgroups `0..groups`.
#[derive(Debug)]
pub(crate) struct Dispatch {
    pub(super) kernel: &'static Kernel,
    pub(super) key: PipelineKey,
    pub(super) params: ParamBytes,
    /// In the order of bindings: slots without a tensor have none.
    pub(super) buffers: Vec<BufferRef>,
    pub(super) groups: u32,
    /// Of all of them.
    pub(super) cost: Cost,
}

/// Bytes from one buffer to another.
#[derive(Debug)]
pub(crate) struct Copy {
    pub(super) source: BufferRef,
    pub(super) from: u64,
    pub(super) target: BufferRef,
    pub(super) to: u64,
    pub(super) bytes: u64,
}

/// A kernel's `ParamBytes`, with room for the grid before them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ParamBytes([u8; IMMEDIATE_BYTES]);

impl ParamBytes {
    /// # Panics
    /// If the struct is longer than kernels may have, which is a mistake in the calling op.
    pub(super) fn new(params: &[u8]) -> Self {
        let mut bytes = [0; IMMEDIATE_BYTES];
        bytes[GRID_BYTES..][..params.len()].copy_from_slice(params);
        Self(bytes)
    }

    /// With the grid of a slice, whose workgroups stand in rows of `width`.
    pub(super) fn of_slice(mut self, groups: &Range<u32>, width: u32) -> [u8; IMMEDIATE_BYTES] {
        self.0[..12].copy_from_slice(bytemuck::bytes_of(&[groups.start, groups.end, width]));
        self.0
    }
}

impl BufferRef {
    /// # Panics
    /// On a [dry](crate::Device::dry) device, whose engine binds nothing.
    pub(super) fn wgpu(&self) -> &wgpu::Buffer {
        self.buffer.as_ref().expect("nothing binds a buffer on a dry device")
    }
}
