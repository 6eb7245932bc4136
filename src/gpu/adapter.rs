//! The GPUs that there are: listing them, choosing one, and what is known of it.

use std::fmt;

use crate::error::{Error, Result};

/// What an adapter is called and what kind of thing it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdapterSummary {
    /// The name that the driver gives, such as `NVIDIA GeForce RTX 4070`.
    pub name: String,
    /// `Vulkan`, `Metal` or `Dx12`.
    pub backend: String,
    /// `DiscreteGpu`, `IntegratedGpu`, `Cpu` (a software driver) and so on.
    pub kind: String,
    /// The driver and its version.
    pub driver: String,
}

impl AdapterSummary {
    pub(super) fn new(info: &wgpu::AdapterInfo) -> Self {
        Self {
            name: info.name.clone(),
            backend: format!("{:?}", info.backend),
            kind: format!("{:?}", info.device_type),
            driver: format!("{} {}", info.driver, info.driver_info),
        }
    }
}

impl fmt::Display for AdapterSummary {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} ({}, {}, {})", self.name, self.backend, self.kind, self.driver)
    }
}

pub(super) async fn enumerate() -> Vec<wgpu::Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12 | wgpu::Backends::BROWSER_WEBGPU,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    instance.enumerate_adapters(wgpu::Backends::all()).await
}

/// The named adapter, or the one most likely to be fast: discrete before integrated before software, Vulkan before DX12.
pub(super) fn choose(adapters: Vec<wgpu::Adapter>, name: Option<&str>) -> Result<wgpu::Adapter> {
    let names = adapters.iter().map(|a| a.get_info().name).collect::<Vec<_>>().join("`, `");
    if adapters.is_empty() {
        return Err(Error::Device(
            "no Vulkan, Metal or DX12 adapter was found; install a GPU driver, or a software one (Debian and Ubuntu: \
             `apt-get install mesa-vulkan-drivers`)"
                .into(),
        ));
    }
    let matches = |adapter: &wgpu::Adapter| name.is_none_or(|name| adapter.get_info().name.to_lowercase().contains(&name.to_lowercase()));
    adapters
        .into_iter()
        .filter(matches)
        .min_by_key(|adapter| rank(&adapter.get_info()))
        .ok_or_else(|| Error::Device(format!("no adapter is called `{}`; there are: `{names}`", name.unwrap_or_default())))
}

fn rank(info: &wgpu::AdapterInfo) -> (u8, bool) {
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    };
    (kind, info.backend == wgpu::Backend::Dx12)
}

/// Bytes of the largest memory heap of the device's own, where the driver tells: wgpu itself does not.
#[cfg(any(target_os = "linux", target_os = "android", windows))]
#[expect(unsafe_code, reason = "wgpu gives access to the driver's adapter through an unsafe function alone")]
pub(super) fn memory_of(adapter: &wgpu::Adapter) -> Option<u64> {
    // SAFETY: the adapter is borrowed for this function, and nothing is done with the driver's handle but asking for properties.
    let adapter = unsafe { adapter.as_hal::<wgpu::hal::api::Vulkan>() }?;
    let instance = adapter.shared_instance().raw_instance();
    // SAFETY: both handles are alive for as long as `adapter`, and belong to each other.
    let memory = unsafe { instance.get_physical_device_memory_properties(adapter.raw_physical_device()) };
    let heaps = memory.memory_heaps.iter().take(memory.memory_heap_count as usize);
    // VK_MEMORY_HEAP_DEVICE_LOCAL_BIT
    heaps.filter(|heap| heap.flags.as_raw() & 1 != 0).map(|heap| heap.size).max()
}

#[cfg(not(any(target_os = "linux", target_os = "android", windows)))]
pub(super) fn memory_of(_: &wgpu::Adapter) -> Option<u64> {
    None
}

/// Whether shaders multiply and add four bytes in one instruction. Where they do not, wgpu writes it out, which is slower than products in f32.
pub(super) fn has_byte_products(device: &wgpu::Device) -> bool {
    match device.adapter_info().backend {
        wgpu::Backend::Vulkan => has_integer_dot_product(device),
        // Both come with shader model 6, of which each driver that has it at all has 6.4.
        wgpu::Backend::Dx12 => device.features().contains(wgpu::Features::SUBGROUP),
        _ => false,
    }
}

#[cfg(any(target_os = "linux", target_os = "android", windows))]
#[expect(unsafe_code, reason = "wgpu gives access to the driver's device through an unsafe function alone")]
fn has_integer_dot_product(device: &wgpu::Device) -> bool {
    const VULKAN_1_3: u32 = 1 << 22 | 3 << 12;
    // SAFETY: the device is borrowed for this function, and nothing is done with the driver's handles but asking for properties.
    let Some(device) = (unsafe { device.as_hal::<wgpu::hal::api::Vulkan>() }) else { return false };
    let instance = device.shared_instance().raw_instance();
    // SAFETY: both handles are alive for as long as `device`, and belong to each other.
    let version = unsafe { instance.get_physical_device_properties(device.raw_physical_device()) }.api_version;
    version >= VULKAN_1_3 || device.enabled_device_extensions().contains(&c"VK_KHR_shader_integer_dot_product")
}

#[cfg(not(any(target_os = "linux", target_os = "android", windows)))]
fn has_integer_dot_product(_: &wgpu::Device) -> bool {
    false
}
