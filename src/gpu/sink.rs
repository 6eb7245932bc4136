//! Where weights go on their way to the GPU: to stay there, or to be there for as long as they are worked with.

use std::cell::RefCell;
use std::fmt::Debug;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::arena::{Block, bytes_of};
use crate::gpu::device::Device;
use crate::gpu::engine::live::CHUNK;
use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;

/// Takes weights in their stored form.
///
/// A [`Device`] gives each tensor a buffer of its own, which lasts as long as the tensor. A [`Recorder`] takes buffers that other
/// weights have left, and records the copy after the commands that still read those.
pub trait Sink: Debug {
    /// The device that weights go to.
    fn device(&self) -> Device;

    /// A tensor with these bytes, as many as it takes or up to three fewer, which are made up for.
    fn take(&self, label: &str, shape: &[usize], dtype: DType, bytes: &[u8]) -> Result<Tensor>;

    /// A tensor with these bytes in row-major order.
    fn upload(&self, label: &str, shape: &[usize], dtype: DType, bytes: &[u8]) -> Result<Tensor> {
        match bytes_of(shape, dtype)? == bytes.len() as u64 {
            true => self.take(label, shape, dtype, bytes),
            false => Err(Error::Input(format!("`{label}`: {} bytes for {dtype} {shape:?}", bytes.len()))),
        }
    }

    /// Bytes in any other form, in a tensor of as many words as hold them, for [`Arg::index`](crate::gpu::Arg::index).
    fn upload_stored(&self, label: &str, bytes: &[u8]) -> Result<Tensor> {
        self.take(label, &[bytes.len().div_ceil(4)], DType::F32, bytes)
    }
}

impl Sink for Device {
    fn device(&self) -> Device {
        self.clone()
    }

    fn take(&self, label: &str, shape: &[usize], dtype: DType, bytes: &[u8]) -> Result<Tensor> {
        let block = Block::fresh(self, label, bytes.len() as u64)?;
        if self.rehearsal().is_some() {
            return Ok(Tensor::new(block, shape, dtype));
        }
        for (chunk, number) in bytes.chunks(CHUNK).zip(0..) {
            let offset = number * CHUNK as u64;
            self.checked("uploading weights", || match chunk.len() % 4 {
                0 => self.wgpu_queue().write_buffer(block.buffer(), offset, chunk),
                rest => {
                    let mut padded = chunk.to_vec();
                    padded.resize(chunk.len() + 4 - rest, 0);
                    self.wgpu_queue().write_buffer(block.buffer(), offset, &padded);
                }
            })?;
            if bytes.len() >= CHUNK {
                // Without a submission every chunk's staging memory would pile up until the next one.
                self.wgpu_queue().submit([]);
                self.checked("uploading weights", || self.wgpu_device().poll(wgpu::PollType::wait_indefinitely()).is_ok())?;
            }
        }
        Ok(Tensor::new(block, shape, dtype))
    }
}

impl Sink for RefCell<&mut Recorder> {
    fn device(&self) -> Device {
        self.borrow().device().clone()
    }

    fn take(&self, label: &str, shape: &[usize], dtype: DType, bytes: &[u8]) -> Result<Tensor> {
        self.borrow_mut().stream(label, shape, dtype, bytes)
    }
}
