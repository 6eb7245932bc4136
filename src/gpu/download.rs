//! What is on its way from the GPU to the host.

use crate::error::{Error, Result};
use crate::gpu::pending::Pending;

/// Some of a tensor's values, copied as soon as all that was recorded before has run. Dropped, they are not waited for.
#[derive(Debug)]
pub struct Download {
    bytes: usize,
    /// None on a [dry](crate::Device::dry) device, whose tensors are zeros.
    mapped: Option<(wgpu::Buffer, Pending)>,
}

impl Download {
    pub(super) fn new(bytes: usize, mapped: Option<(wgpu::Buffer, Pending)>) -> Self {
        Self { bytes, mapped }
    }

    /// Blocks until they are here.
    ///
    /// # Errors
    /// [`Error::Device`] where the device was lost.
    pub fn wait<T: bytemuck::Pod>(&self) -> Result<Vec<T>> {
        self.mapped.as_ref().map_or(Ok(()), |(_, pending)| pending.wait())?;
        self.values()
    }

    /// The same for callers that must not block, such as a browser's.
    ///
    /// # Errors
    /// [`Error::Device`] where the device was lost.
    pub async fn read<T: bytemuck::Pod>(mut self) -> Result<Vec<T>> {
        if let Some((_, pending)) = &mut self.mapped {
            pending.await?;
        }
        self.values()
    }

    fn values<T: bytemuck::Pod>(&self) -> Result<Vec<T>> {
        // Zeros that nobody has written yet: plans of large videos would do little else than write them.
        let Some((buffer, _)) = &self.mapped else { return Ok(vec![T::zeroed(); self.bytes / size_of::<T>()]) };
        let view = buffer.get_mapped_range(..).map_err(|error| Error::Device(format!("cannot read back: {error}")))?;
        Ok(bytemuck::pod_collect_to_vec(&view[..self.bytes]))
    }
}
