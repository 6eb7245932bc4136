//! Choosing and opening an adapter, or sharing a device that the host application owns.

use std::env;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::gpu::adapter::{AdapterSummary, choose, enumerate};
use crate::gpu::family::{self, Family};
use crate::gpu::{device::Device, device::Options, tune::Tune};

/// What kernels of some families and profiles need; none is needed by all.
const FEATURES: wgpu::Features = wgpu::Features::SUBGROUP
    .union(wgpu::Features::SHADER_F16)
    .union(wgpu::Features::SHADER_INT64)
    .union(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX)
    .union(wgpu::Features::TIMESTAMP_QUERY)
    .union(wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS);

/// Buffers above 4 MiB, which weights and activations mostly are, get memory of their own, and smaller ones share blocks of that. In larger
/// blocks, `MemoryHints::MemoryUsage` with up to 64 MiB among them, what was left beside a model of 1.3B came to a tenth to a quarter.
const MEMORY: wgpu::MemoryHints = wgpu::MemoryHints::Manual { suballocated_device_memory_block_size: 4 << 20..4 << 20 };

/// Chooses and opens an adapter, or takes the application's own device. Made by [`Device::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "no device is opened before `build`"]
pub struct DeviceBuilder {
    adapter_name: Option<String>,
    host: Option<Host>,
    /// Default: by the environment.
    shader_checks: Option<bool>,
    options: Options,
}

/// What the host application owns.
#[derive(Clone, Debug)]
struct Host {
    adapter: Option<wgpu::Adapter>,
    device: wgpu::Device,
    queue: wgpu::Queue,
}

impl DeviceBuilder {
    /// A [`submission_time`](Self::submission_time) for applications that render at 60 Hz on the same device.
    pub const SUBMISSION_AT_60_HZ: Duration = Duration::from_millis(10);

    /// Shares a device that the application already owns; no adapter is chosen. Open it with the adapter's own limits: wgpu's defaults allow
    /// only 128 MiB a binding. Immediates are used if the device was opened with [`wgpu::Features::IMMEDIATES`] and at least 128 bytes of them;
    /// [`wgpu::Features::SUBGROUP`] and [`wgpu::Features::SHADER_F16`] make faster kernels possible. Everything works with any device.
    ///
    /// The `adapter` that the device was opened from tells what wgpu does not tell of the device: the
    /// [size of the memory](Device::memory_size), and the sizes of cooperative matrices, which are used where the device has
    /// [`wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX`].
    ///
    /// The device's lost callback is replaced, so that a generation ends with [`Error::DeviceLost`] when the device is lost. An application that
    /// needs to know sets its own after `build`; errors then come when results are read back. Where the application renders meanwhile, see
    /// [`submission_time`](Self::submission_time).
    pub fn wgpu(mut self, adapter: Option<&wgpu::Adapter>, device: wgpu::Device, queue: wgpu::Queue) -> Self {
        self.host = Some(Host { adapter: adapter.cloned(), device, queue });
        self
    }

    /// How long a submission to the queue is meant to last, at least a millisecond. At most two wait on the GPU at a time, so whatever else
    /// is submitted to the device waits for about twice as long, and so does cancelling. Shorter ones cost a little speed on fast GPUs, which
    /// have to be fed more often. Default: 200 ms.
    ///
    /// An application that renders on the same device sets this to less than its frames last, such as
    /// [`SUBMISSION_AT_60_HZ`](Self::SUBMISSION_AT_60_HZ): wgpu lets no other thread submit while one waits for the GPU, so below 50 ms the GPU
    /// is asked again and again whether it is done, each twentieth of the time, which keeps `Queue::submit` free for the application. A submission
    /// that brings streamed weights, or a kernel's first, may still be longer.
    pub fn submission_time(mut self, time: Duration) -> Self {
        self.options.submission_time = Some(time.max(Duration::from_millis(1)));
        self
    }

    /// Takes an adapter whose name contains `name`, ignoring case; where this is not called, `WGPU_ADAPTER_NAME` in the
    /// environment is taken for the name. Of several, and where there is no name, the kind that is most likely to be fast is
    /// taken: discrete before integrated before software, Vulkan before DX12.
    pub fn adapter_name(mut self, name: impl Into<String>) -> Self {
        self.adapter_name = Some(name.into());
        self
    }

    /// Whether shaders are compiled with bounds checks and division guards, which take two to three times as long. They are for this crate's own
    /// tests. Default: `WAN_ANIMATE_SHADER_CHECKS` (`on` or `off`), or off. [`Device::shader_checks`] tells which.
    pub fn shader_checks(mut self, on: bool) -> Self {
        self.shader_checks = Some(on);
        self
    }

    /// Refuses allocations that would take this device's buffers past `bytes` in all, with
    /// [`Error::Limits`]. It is also the [budget](crate::MemoryBudget) of what sets none, so that what does not fit is streamed, and
    /// what cannot do with it is refused before any work. Default: no limit but the driver's.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.options.memory_limit = Some(bytes);
        self
    }

    /// Whether networks from ONNX files are computed on the host instead of the GPU, whose memory they then leave to others. Default: with
    /// software drivers alone, where the same cores compute them several times as fast so.
    pub fn host_networks(mut self, on: bool) -> Self {
        self.options.host_networks = Some(on);
        self
    }

    /// Whether parameters travel as immediates (push constants). Default: where the adapter has them; `false` sends them
    /// in uniform buffers, as on an adapter without.
    pub fn immediates(mut self, on: bool) -> Self {
        self.options.immediates = Some(on);
        self
    }

    /// Takes kernels of this family wherever the adapter can run them and they pass their test there, instead of those that suit
    /// the adapter best. Default: what `WAN_ANIMATE_FAMILY` (`coop`, `tiled`, `reg` or `sg`) says, or the best.
    pub fn family(mut self, family: Family) -> Self {
        self.options.family = Some(family);
        self
    }

    /// Measures every dispatch for [`Device::profile`], which makes all work slower. Default: off, at no cost.
    pub fn profile(mut self, on: bool) -> Self {
        self.options.profile = on;
        self
    }

    /// Whether tiles of kernels are timed on first use and remembered in the user's cache folder (`wan-animate/tuning.json`). Default: what
    /// `WAN_ANIMATE_TUNE` (`off`, `on` or `force`) says, or on, but off on software drivers. On an application's own device nothing is written or read unless this or the
    /// variable says so: tiles are timed by each process. Tiles of one family sum in the same order; but only with tuning off do results not
    /// depend on the clock at all.
    pub fn tune(mut self, tune: Tune) -> Self {
        self.options.tune = Some(tune);
        self
    }

    /// Opens the adapter, or takes the application's device.
    ///
    /// # Errors
    /// [`Error::Input`] where `WAN_ANIMATE_FAMILY` names no family, or `WAN_ANIMATE_TUNE` no tuning, or an adapter is named and a device given.
    /// [`Error::Device`] where there is no adapter, none of that name (the message lists those there are), or the driver refuses to open it.
    pub fn build(self) -> Result<Device> {
        pollster::block_on(self.build_async())
    }

    /// [`DeviceBuilder::build`] for callers that must not block, such as a browser's.
    ///
    /// # Errors
    /// As there.
    pub async fn build_async(mut self) -> Result<Device> {
        self.options.family = self.options.family.or(family::from_environment()?);
        self.options.tune = self.options.tune.or(Tune::from_environment()?);
        self.options.shader_checks = self.shader_checks.unwrap_or_else(default_shader_checks);
        let host = match self.host.take() {
            Some(_) if self.adapter_name.is_some() => return Err(Error::Input("an adapter's name beside a device that is open".into())),
            Some(host) => host,
            None => self.open().await?,
        };
        Ok(Device::new(host.device, host.queue, self.options, host.adapter.as_ref()))
    }

    /// A device of its own.
    async fn open(&mut self) -> Result<Host> {
        self.options.is_own = true;
        let adapters = enumerate().await;
        let wanted = self.adapter_name.clone().or_else(|| env::var("WGPU_ADAPTER_NAME").ok());
        let adapter = choose(adapters, wanted.as_deref())?;
        let immediates = self.options.immediates.unwrap_or(true);
        let wished = if immediates { wgpu::Features::IMMEDIATES | FEATURES } else { FEATURES };
        let mut required_limits = adapter.limits();
        if !immediates {
            required_limits.max_immediate_size = 0;
        }
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("wan-animate"),
            required_features: adapter.features() & wished,
            required_limits,
            memory_hints: MEMORY,
            experimental_features: experimental_features(),
            ..Default::default()
        };
        let refused = |error| Error::Device(format!("cannot open the adapter `{}`: {error}", adapter.get_info().name));
        let (device, queue) = adapter.request_device(&descriptor).await.map_err(refused)?;
        Ok(Host { adapter: Some(adapter), device, queue })
    }
}

#[expect(unsafe_code, reason = "wgpu asks for it before it opens cooperative matrices")]
fn experimental_features() -> wgpu::ExperimentalFeatures {
    // SAFETY: of the experimental features only cooperative matrices are used, with the sizes and types that the adapter lists,
    // by kernels whose results are compared with the host's before they are used.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}

impl Device {
    /// Starts choosing an adapter.
    pub fn builder() -> DeviceBuilder {
        DeviceBuilder::default()
    }

    /// All adapters of this machine, in no particular order.
    pub fn adapters() -> Vec<AdapterSummary> {
        pollster::block_on(enumerate()).iter().map(|adapter| AdapterSummary::new(&adapter.get_info())).collect()
    }

    /// Shares a device that the application already owns: [`DeviceBuilder::wgpu`] with all other options as they are.
    ///
    /// # Errors
    /// Those of [`DeviceBuilder::build`].
    pub fn from_wgpu(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        Self::builder().wgpu(None, device, queue).build()
    }
}

fn default_shader_checks() -> bool {
    env::var("WAN_ANIMATE_SHADER_CHECKS").is_ok_and(|value| value == "on")
}
