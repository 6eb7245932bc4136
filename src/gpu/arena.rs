//! Buffers and who holds them.
//!
//! An [`Arena`] belongs to one [`Recorder`](crate::gpu::Recorder). When the last tensor of a buffer drops, the buffer is given
//! out again at once, although the GPU may not yet have run the commands that use it: commands of one recorder run in the
//! order of recording, so the new owner's commands come after the old owner's. That is why an arena is never shared between
//! recorders, and why data reaches a recycled buffer only through recorded copies.
//!
//! Each tensor has a buffer of its own, because wgpu refuses to bind one buffer for reading and for writing in one dispatch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{command::BufferRef, device::Device, memory::Holds, memory::Reserved};

const USAGES: wgpu::BufferUsages = wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

/// Kernels count elements in 32 bits, and an element takes two bytes or more.
const MOST_BYTES: u64 = 1 << 32;

/// A wgpu buffer whose bytes are counted for as long as it lives; on a [dry](Device::dry) device the bytes alone.
#[derive(Debug)]
struct Counted {
    buffer: Option<wgpu::Buffer>,
    memory: Reserved,
}

impl Counted {
    fn new(device: &Device, label: &str, bytes: u64, holds: Holds) -> Result<Self> {
        let largest = largest_buffer(device);
        if bytes > largest {
            let adapter = &device.adapter().name;
            let message = format!("`{label}` needs {bytes} bytes in one buffer, `{adapter}` allows {largest}");
            return Err(Error::memory(bytes, largest, message));
        }
        let mut counted = Self { buffer: None, memory: Reserved::new(device.accounting(), bytes, holds)? };
        if let Some(rehearsal) = device.rehearsal() {
            rehearsal.note_buffer(label, bytes);
            return Ok(counted);
        }
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size: bytes, usage: USAGES, mapped_at_creation: false };
        let what = format!("allocating {bytes} bytes for `{label}`");
        counted.buffer = Some(device.create_buffer(&what, &descriptor)?);
        Ok(counted)
    }
}

/// A buffer with one owner: a tensor, or several that are views of the same data.
#[derive(Debug)]
pub struct Allocation {
    counted: Option<Counted>,
    home: Weak<Arena>,
}

impl Allocation {
    /// A buffer of its own, given back to the driver when it drops: for weights.
    pub(crate) fn fresh(device: &Device, label: &str, bytes: u64) -> Result<Self> {
        Ok(Self { counted: Some(Counted::new(device, label, padded(bytes), Holds::Weights)?), home: Weak::new() })
    }

    /// No buffer at all: for tensors that nothing will ever read.
    pub(crate) fn absent() -> Self {
        Self { counted: None, home: Weak::new() }
    }

    /// The buffer, at least 16 bytes long and a multiple of 16.
    ///
    /// # Panics
    /// Where the device is [dry](Device::dry), which has no buffers.
    pub fn buffer(&self) -> &wgpu::Buffer {
        self.counted().buffer.as_ref().expect("nothing reads or binds a buffer on a dry device")
    }

    /// Where it goes back to, if that is still there.
    pub(super) fn home(&self) -> Option<Arc<Arena>> {
        self.home.upgrade()
    }

    /// The buffer for a command.
    pub(super) fn to_ref(&self) -> BufferRef {
        BufferRef { buffer: self.counted().buffer.clone(), bytes: self.bytes() }
    }

    /// Bytes of the buffer.
    pub fn bytes(&self) -> u64 {
        self.counted().memory.bytes()
    }

    fn counted(&self) -> &Counted {
        self.counted.as_ref().expect("a block holds its buffer until it drops")
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        if let (Some(home), Some(counted)) = (self.home.upgrade(), self.counted.take()) {
            home.recycle(counted);
        }
    }
}

/// Activation memory of one recorder.
#[derive(Debug)]
pub struct Arena {
    device: Device,
    holds: Holds,
    free: Mutex<BTreeMap<u64, Vec<Counted>>>,
}

impl Arena {
    pub(crate) fn new(device: &Device, holds: Holds) -> Arc<Self> {
        Arc::new(Self { device: device.clone(), holds, free: Mutex::default() })
    }

    /// A buffer of at least `bytes`: a free one that is not much too large, or a new one.
    pub(crate) fn take(self: &Arc<Self>, label: &str, bytes: u64) -> Result<Allocation> {
        let bytes = rounded(bytes).min(largest_buffer(&self.device)).max(padded(bytes));
        let counted = match self.reuse(bytes) {
            Some(counted) => counted,
            None => Counted::new(&self.device, label, bytes, self.holds)?,
        };
        Ok(Allocation { counted: Some(counted), home: Arc::downgrade(self) })
    }

    /// Gives all free buffers back to the driver.
    pub fn trim(&self) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn reuse(&self, bytes: u64) -> Option<Counted> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let (&size, stack) = free.range_mut(bytes..=bytes + bytes / 4).next()?;
        let counted = stack.pop();
        if stack.is_empty() {
            free.remove(&size);
        }
        counted
    }

    fn recycle(&self, counted: Counted) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.entry(counted.memory.bytes()).or_default().push(counted);
    }
}

/// Bytes of a tensor.
///
/// # Errors
/// [`Error::Limits`] where no kernel could count them.
pub(crate) fn bytes_of(shape: &[usize], dtype: DType) -> Result<u64> {
    let elements = shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size as u64));
    let bytes = elements.and_then(|elements| elements.checked_mul(dtype.bytes())).filter(|&bytes| bytes <= MOST_BYTES);
    bytes.ok_or_else(|| Error::limits(format!("a tensor of {dtype} {shape:?}: more than the {MOST_BYTES} bytes that one can have")))
}

/// The largest buffer that kernels on this device can have: a whole number of vec4s.
pub(crate) fn largest_buffer(device: &Device) -> u64 {
    device.limits().max_storage_buffer_binding_size.min(device.limits().max_buffer_size).min(MOST_BYTES) & !15
}

/// Kernels read and write four elements at a time, so every buffer ends on 16 bytes.
fn padded(bytes: u64) -> u64 {
    bytes.max(1).next_multiple_of(16)
}

/// Sizes are rounded up by at most an eighth, so that slightly different tensors can share buffers.
fn rounded(bytes: u64) -> u64 {
    let step = (bytes.max(1).next_power_of_two() / 16).max(256);
    bytes.max(1).next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_past_counting_are_refused() {
        assert!(matches!(bytes_of(&[1 << 16, 1 << 14], DType::F32), Ok(bytes) if bytes == MOST_BYTES));
        for shape in [vec![1 << 16, 1 << 15], vec![usize::MAX, 2], vec![1 << 40, 1 << 40, 0, 1 << 40]] {
            assert!(matches!(bytes_of(&shape, DType::F32), Err(Error::Limits { .. })), "{shape:?}");
        }
    }

    #[test]
    fn rounding_wastes_at_most_an_eighth() {
        for bytes in [1, 255, 256, 257, 5_000, 1 << 20, (1 << 20) + 1, 671_088_640] {
            let size = rounded(bytes);
            assert!(size >= bytes && size.is_multiple_of(256) && (size - bytes <= bytes / 8 + 256), "{bytes} -> {size}");
        }
    }
}
