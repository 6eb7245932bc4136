//! Where weights go on their way to the GPU: to stay there, or to be there for as long as they are worked with.

use std::cell::RefCell;
use std::fmt::{self, Debug};
use std::sync::Arc;

use crate::cancel::Cancel;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::engine::live::CHUNK;
use crate::gpu::{arena::Allocation, arena::bytes_of, device::Device, recorder::Read, recorder::Recorder, tensor::Tensor};

/// Takes weights in their stored form.
///
/// A [`Device`] gives each tensor a buffer of its own, which lasts as long as the tensor. A [`Recorder`] takes buffers that other
/// weights have left, and records the copy after the commands that still read those. [`Nowhere`] keeps nothing.
pub trait Sink: Debug {
    /// The device that weights go to, if there is one.
    fn device(&self) -> Option<Device>;

    /// A tensor with so many bytes in any form, as many as it takes or up to three fewer, which are made up for. They are read only where there is a GPU to
    /// hold them.
    fn take(&self, label: &str, shape: &[usize], dtype: DType, size: u64, read: &Read) -> Result<Tensor>;

    /// [`Sink::take`] of bytes that may turn out to be of another number, which is refused.
    fn read(&self, label: &str, shape: &[usize], dtype: DType, size: u64, read: &Read) -> Result<Tensor> {
        self.take(label, shape, dtype, size, &|| match read()? {
            bytes if bytes.len() as u64 == size => Ok(bytes),
            bytes => Err(Error::Input(format!("`{label}`: {} bytes for {dtype} {shape:?}", bytes.len()))),
        })
    }

    /// A tensor with these bytes in row-major order.
    fn upload(&self, label: &str, shape: &[usize], dtype: DType, bytes: &[u8]) -> Result<Tensor> {
        self.read(label, shape, dtype, bytes_of(shape, dtype)?, &|| Ok(bytes.into()))
    }
}

/// Keeps no weights and reads none: for models that are loaded only to see what they ask for.
#[derive(Debug)]
pub struct Nowhere;

impl Sink for Nowhere {
    fn device(&self) -> Option<Device> {
        None
    }

    fn take(&self, _: &str, shape: &[usize], dtype: DType, _: u64, _: &Read) -> Result<Tensor> {
        Ok(Tensor::new(Allocation::absent(), shape, dtype))
    }
}

impl Sink for Device {
    fn device(&self) -> Option<Device> {
        Some(self.clone())
    }

    fn take(&self, label: &str, shape: &[usize], dtype: DType, size: u64, read: &Read) -> Result<Tensor> {
        take(self, &Watch::default(), label, shape, dtype, size, read)
    }
}

/// What is told of bytes on their way to the GPU, and what stops them.
#[derive(Clone, Default)]
pub struct Watch {
    /// Stops them when it is set.
    pub cancel: Cancel,
    /// Is told of so many more.
    pub told: Option<Arc<dyn Fn(u64) + Send + Sync>>,
}

impl Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Watch").field("cancel", &self.cancel).finish_non_exhaustive()
    }
}

impl Watch {
    /// So many more bytes have arrived.
    ///
    /// # Errors
    /// [`Error::Cancelled`] where the flag is set.
    fn tell(&self, bytes: u64) -> Result<()> {
        if let Some(told) = &self.told {
            told(bytes);
        }
        if self.cancel.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// A [`Device`] that is [watched](Watch).
#[derive(Clone, Debug)]
pub struct Watched {
    device: Device,
    watch: Watch,
}

impl Watched {
    /// A sink for what is loaded to stay.
    pub fn new(device: &Device, watch: &Watch) -> Self {
        Self { device: device.clone(), watch: watch.clone() }
    }
}

impl Sink for Watched {
    fn device(&self) -> Option<Device> {
        Some(self.device.clone())
    }

    fn take(&self, label: &str, shape: &[usize], dtype: DType, size: u64, read: &Read) -> Result<Tensor> {
        take(&self.device, &self.watch, label, shape, dtype, size, read)
    }
}

/// A tensor with a buffer of its own.
fn take(device: &Device, watch: &Watch, label: &str, shape: &[usize], dtype: DType, size: u64, read: &Read) -> Result<Tensor> {
    watch.tell(0)?;
    let block = Allocation::fresh(device, label, size)?;
    if device.rehearsal().is_some() {
        watch.tell(size)?;
        return Ok(Tensor::new(block, shape, dtype));
    }
    let bytes = read()?;
    for (chunk, number) in bytes.chunks(CHUNK).zip(0..) {
        let offset = number * CHUNK as u64;
        device.checked("uploading weights", || match chunk.len() % 4 {
            0 => device.wgpu_queue().write_buffer(block.buffer(), offset, chunk),
            rest => {
                let mut padded = chunk.to_vec();
                padded.resize(chunk.len() + 4 - rest, 0);
                device.wgpu_queue().write_buffer(block.buffer(), offset, &padded);
            }
        })?;
        if bytes.len() >= CHUNK {
            // Without a submission every chunk's staging memory would pile up until the next one.
            let submitted = device.submit(None);
            device.wait(Some(&submitted))?;
        }
        watch.tell(chunk.len() as u64)?;
    }
    // What they were made up for.
    watch.tell(size.saturating_sub(bytes.len() as u64))?;
    Ok(Tensor::new(block, shape, dtype))
}

impl Sink for RefCell<&mut Recorder> {
    fn device(&self) -> Option<Device> {
        Some(self.borrow().device().clone())
    }

    fn take(&self, label: &str, shape: &[usize], dtype: DType, size: u64, read: &Read) -> Result<Tensor> {
        self.borrow_mut().stream(label, shape, dtype, size, read)
    }
}
