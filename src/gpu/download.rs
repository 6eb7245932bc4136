//! What is on its way from the GPU to the host.

use crate::error::Result;
use crate::gpu::pending::Pending;

/// Some of a tensor's values, copied as soon as all that was recorded before has run. Dropped, they are not waited for.
#[derive(Debug)]
pub struct Download {
    bytes: usize,
    /// None on a [dry](crate::Device::dry) device, whose tensors are zeros.
    pending: Option<Pending>,
}

impl Download {
    pub(super) fn new(bytes: usize, pending: Option<Pending>) -> Self {
        Self { bytes, pending }
    }

    /// Blocks until they are here.
    ///
    /// # Errors
    /// [`Error::DeviceLost`](crate::Error::DeviceLost) where the device was lost before.
    pub fn wait<T: bytemuck::Pod>(&self) -> Result<Vec<T>> {
        match &self.pending {
            // Zeros that nobody has written yet: plans of large videos would do little else than write them.
            None => Ok(vec![T::zeroed(); self.bytes / size_of::<T>()]),
            Some(pending) => pending.wait(|bytes| bytemuck::pod_collect_to_vec(&bytes[..self.bytes])),
        }
    }

    /// The same for callers that must not block, such as a browser's. Where no browser drives the device, somebody has to poll it meanwhile.
    ///
    /// # Errors
    /// [`Error::DeviceLost`](crate::Error::DeviceLost) where the device was lost before.
    pub async fn read<T: bytemuck::Pod>(self) -> Result<Vec<T>> {
        match self.pending {
            None => Ok(vec![T::zeroed(); self.bytes / size_of::<T>()]),
            Some(pending) => pending.await.map(|bytes| bytemuck::pod_collect_to_vec(&bytes[..self.bytes])),
        }
    }
}
