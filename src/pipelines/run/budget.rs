//! How much GPU memory a generation may take.

use crate::error::{Error, Result};
use crate::gpu::Device;

/// How much GPU memory a generation may take: its weights, activations and caches together. What does not fit is streamed from the
/// checkpoint, and a request that cannot do with it is refused before any work, naming what it needs.
///
/// Of several generations at once on one pipeline each keeps to its own; weights that they share count for each of them. What the driver
/// takes for itself, and data on their way to and from the host (at most some tens of MiB), are not counted.
/// [`Device::memory_use`](crate::Device::memory_use) tells what was taken.
///
/// Without one, the budget is the [`memory_limit`](crate::DeviceBuilder::memory_limit) of its device; without that, all
/// weights are loaded by `build` and stay.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct MemoryBudget(Bound);

#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
enum Bound {
    #[default]
    OfDevice,
    Auto,
    Bytes(u64),
}

impl MemoryBudget {
    /// So many GiB: 8, or 7.5.
    pub fn gib(gib: impl Into<f64>) -> Self {
        Self(Bound::Bytes((gib.into() * f64::from(1 << 30)) as u64))
    }

    /// So many bytes.
    pub fn bytes(bytes: u64) -> Self {
        Self(Bound::Bytes(bytes))
    }

    /// Nine tenths of the [memory that the adapter has](crate::Device::memory_size), where the driver tells: it does on Vulkan, but not how
    /// much of it others use. Where it does not, as on Metal and on a [shared device](crate::DeviceBuilder::wgpu) without its adapter, `build`
    /// and [`start`](crate::Request::start) fail with [`Error::Input`], unless the device has a
    /// [`memory_limit`](crate::DeviceBuilder::memory_limit).
    pub fn auto() -> Self {
        Self(Bound::Auto)
    }

    /// In bytes, never more than the device's limit; none where there is none.
    ///
    /// # Errors
    /// [`Error::Input`] where it depends on a size that is not known.
    pub(crate) fn on(self, device: &Device) -> Result<Option<u64>> {
        let limit = device.memory_limit();
        match self.0 {
            Bound::OfDevice => Ok(limit),
            Bound::Auto => device.room().ok_or_else(|| unknown(device)).map(Some),
            Bound::Bytes(bytes) => Ok(Some(limit.map_or(bytes, |limit| bytes.min(limit)))),
        }
    }
}

fn unknown(device: &Device) -> Error {
    Error::Input(format!(
        "an automatic memory budget: how much memory `{}` has is not known here; set the budget in bytes (of a shared device on Vulkan, giving its \
         adapter to the builder tells it)",
        device.adapter().name
    ))
}
