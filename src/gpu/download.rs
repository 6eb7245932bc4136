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
    pub fn wait<T: bytemuck::Pod>(self) -> Result<Vec<T>> {
        let count = self.bytes / size_of::<T>();
        // Zeros that nobody has written yet: plans of large videos would do little else than write them.
        let Some((buffer, pending)) = self.mapped else { return Ok(vec![T::zeroed(); count]) };
        pending.wait()?;
        values(&buffer, self.bytes)
    }

    /// The same for callers that must not block, such as a browser's.
    ///
    /// # Errors
    /// [`Error::Device`] where the device was lost.
    pub async fn read<T: bytemuck::Pod>(self) -> Result<Vec<T>> {
        let count = self.bytes / size_of::<T>();
        let Some((buffer, pending)) = self.mapped else { return Ok(vec![T::zeroed(); count]) };
        pending.await?;
        values(&buffer, self.bytes)
    }
}

fn values<T: bytemuck::Pod>(buffer: &wgpu::Buffer, bytes: usize) -> Result<Vec<T>> {
    let view = buffer.get_mapped_range(..).map_err(|error| Error::Device(format!("cannot read back: {error}")))?;
    Ok(bytemuck::pod_collect_to_vec(&view[..bytes]))
}
