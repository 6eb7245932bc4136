//! A GPU, opened with its real limits, or a device that the host application owns.

use std::collections::HashMap;
use std::env;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::gpu::adapter::{AdapterSummary, choose, enumerate, memory_of};
use crate::gpu::arena::Accounting;
use crate::gpu::family::{self, Coop, Facts, Families, Family};
use crate::gpu::faults::Faults;
use crate::gpu::kernel::{Pipeline, PipelineKey};
use crate::gpu::profile::Profile;
use crate::gpu::rehearsal::Rehearsal;
use crate::gpu::tune::{Tune, Tuning};

/// Bytes of immediate data (push constants) that kernels use: the dispatch's grid and the kernel's `Params`.
pub(crate) const IMMEDIATE_BYTES: u32 = 128;

/// What kernels of some families and profiles need; none is needed by all.
const FEATURES: wgpu::Features = wgpu::Features::SUBGROUP
    .union(wgpu::Features::SHADER_F16)
    .union(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX)
    .union(wgpu::Features::TIMESTAMP_QUERY)
    .union(wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS);

/// Buffers above 4 MiB, which weights and activations mostly are, get memory of their own, and smaller ones share blocks of that. In larger
/// blocks, `MemoryHints::MemoryUsage` with up to 64 MiB among them, what was left beside a model of 1.3B came to a tenth to a quarter.
const MEMORY: wgpu::MemoryHints = wgpu::MemoryHints::Manual { suballocated_device_memory_block_size: 4 << 20..4 << 20 };

/// A GPU that is ready for work. Cheap to clone; clones share the device, its pipelines and its memory accounting.
#[derive(Clone)]
pub struct Device(Arc<Inner>);

struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    summary: AdapterSummary,
    limits: wgpu::Limits,
    immediates: bool,
    shader_checks: bool,
    accounting: Arc<Accounting>,
    families: Arc<Families>,
    faults: Faults,
    profile: Option<Profile>,
    tuning: Arc<Tuning>,
    pipelines: Mutex<HashMap<PipelineKey, Arc<Pipeline>>>,
    filling: u32,
    rate: Mutex<f64>,
    lost: Arc<Mutex<Option<String>>>,
    rehearsal: Option<Rehearsal>,
    measured: AtomicBool,
    memory: Option<u64>,
}

/// Chooses and opens an adapter. Made by [`Device::builder`].
#[derive(Clone, Debug, Default)]
pub struct DeviceBuilder {
    adapter_name: Option<String>,
    shader_checks: Option<bool>,
    memory_limit: Option<u64>,
    immediates: Option<bool>,
    family: Option<Family>,
    profile: bool,
    tune: Option<Tune>,
}

impl DeviceBuilder {
    /// Takes an adapter whose name contains `name`, ignoring case; where this is not called, `WGPU_ADAPTER_NAME` in the
    /// environment is taken for the name. Of several, and where there is no name, the kind that is most likely to be fast is
    /// taken: discrete before integrated before software, Vulkan before DX12.
    pub fn adapter_name(mut self, name: impl Into<String>) -> Self {
        self.adapter_name = Some(name.into());
        self
    }

    /// Whether shaders are compiled with bounds checks and division guards. Default: in debug builds only,
    /// or as `WAN_ANIMATE_SHADER_CHECKS` (`on` or `off`) says. [`Device::shader_checks`] tells which.
    pub fn shader_checks(mut self, on: bool) -> Self {
        self.shader_checks = Some(on);
        self
    }

    /// Refuses allocations that would take this device's buffers past `bytes` in all. Default: no limit but the driver's.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// Whether parameters travel as immediates (push constants). Default: where the adapter has them; `false` sends them
    /// in uniform buffers, as on an adapter without.
    pub fn immediates(mut self, on: bool) -> Self {
        self.immediates = Some(on);
        self
    }

    /// Takes kernels of this family wherever the adapter can run them and they pass their test there, instead of those that suit
    /// the adapter best. Default: what `WAN_ANIMATE_FAMILY` (`coop`, `tiled`, `reg` or `sg`) says, or the best.
    pub fn family(mut self, family: Family) -> Self {
        self.family = Some(family);
        self
    }

    /// Measures every dispatch for [`Device::profile`], which makes all work slower. Default: off, at no cost.
    pub fn profile(mut self, on: bool) -> Self {
        self.profile = on;
        self
    }

    /// Whether tiles of kernels are timed on first use and remembered in the user's cache folder (`wan-animate/tuning.json`). Default: what
    /// `WAN_ANIMATE_TUNE` (`off`, `on` or `force`) says, or on, but off on software drivers. Tiles of one family sum in the same
    /// order; but only with tuning off do results not depend on the clock at all.
    pub fn tune(mut self, tune: Tune) -> Self {
        self.tune = Some(tune);
        self
    }

    /// Opens the adapter.
    ///
    /// # Errors
    /// [`Error::Input`] where `WAN_ANIMATE_FAMILY` names no family, or `WAN_ANIMATE_TUNE` no tuning. [`Error::Device`] where there is no adapter, none of that name (the message lists those there are), or the driver
    /// refuses to open it.
    pub fn build(mut self) -> Result<Device> {
        self.family = self.family.or(family::from_environment()?);
        self.tune = self.tune.or(Tune::from_environment()?);
        let adapters = enumerate();
        let wanted = self.adapter_name.clone().or_else(|| env::var("WGPU_ADAPTER_NAME").ok());
        let adapter = choose(adapters, wanted.as_deref())?;
        let immediates = self.immediates.unwrap_or(true);
        let wished = if immediates { wgpu::Features::IMMEDIATES | FEATURES } else { FEATURES };
        let mut required_limits = adapter.limits();
        if !immediates {
            required_limits.max_immediate_size = 0;
        }
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("wan-animate"),
            required_features: adapter.features() & wished,
            required_limits,
            memory_hints: MEMORY,
            experimental_features: experimental_features(),
            ..Default::default()
        }))
        .map_err(|error| Error::Device(format!("cannot open the adapter `{}`: {error}", adapter.get_info().name)))?;
        Ok(Device::new(device, queue, self, Some(&adapter)))
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
        enumerate().iter().map(|adapter| AdapterSummary::new(&adapter.get_info())).collect()
    }

    /// Shares a device that the application already owns. Immediates are used if the device was opened with
    /// [`wgpu::Features::IMMEDIATES`] and at least 128 bytes of them; everything else works with any device. Open it with
    /// the adapter's own limits: wgpu's defaults allow only 128 MiB a binding. [`wgpu::Features::SUBGROUP`] and
    /// [`wgpu::Features::SHADER_F16`] make faster kernels possible; for cooperative matrices see [`Device::from_wgpu_adapter`].
    ///
    /// The device's lost callback is replaced, so that a generation ends with [`Error::Device`] when the device is lost. An
    /// application that needs to know sets its own after this; errors then come when results are read back.
    pub fn from_wgpu(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        Self::shared(device, queue, None)
    }

    /// [`Device::from_wgpu`] with the adapter that the device was opened from, which lists the sizes of cooperative matrices.
    /// Where the device has [`wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX`], only this makes use of them.
    pub fn from_wgpu_adapter(adapter: &wgpu::Adapter, device: wgpu::Device, queue: wgpu::Queue) -> Self {
        Self::shared(device, queue, Some(adapter))
    }

    fn shared(device: wgpu::Device, queue: wgpu::Queue, adapter: Option<&wgpu::Adapter>) -> Self {
        fn or_warn<T>(value: Result<Option<T>>) -> Option<T> {
            value.unwrap_or_else(|error| {
                log::warn!("in the environment: {error}");
                None
            })
        }
        let (family, tune) = (or_warn(family::from_environment()), or_warn(Tune::from_environment()));
        Self::new(device, queue, DeviceBuilder { family, tune, ..Default::default() }, adapter)
    }

    fn new(device: wgpu::Device, queue: wgpu::Queue, options: DeviceBuilder, adapter: Option<&wgpu::Adapter>) -> Self {
        let coop = adapter.and_then(family::cooperative_size);
        let (limits, info) = (device.limits(), device.adapter_info());
        let lost = Arc::new(Mutex::new(None));
        let note = lost.clone();
        device.set_device_lost_callback(move |reason, message| {
            *note.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{reason:?}: {message}"));
        });
        let summary = AdapterSummary::new(&info);
        let software = info.device_type == wgpu::DeviceType::Cpu;
        let tune = options.tune.unwrap_or(if software { Tune::Off } else { Tune::On });
        Self(Arc::new(Inner {
            profile: options.profile.then(Profile::default),
            tuning: Arc::new(Tuning::new(tune, summary.to_string())),
            summary,
            families: Arc::new(Families::new(Facts::new(&device, coop), options.family)),
            filling: if software { 1 } else { 256 },
            immediates: options.immediates.unwrap_or(true)
                && device.features().contains(wgpu::Features::IMMEDIATES)
                && limits.max_immediate_size >= IMMEDIATE_BYTES,
            shader_checks: options.shader_checks.unwrap_or_else(default_shader_checks),
            accounting: Arc::new(Accounting::new(options.memory_limit)),
            faults: Faults::default(),
            pipelines: Mutex::default(),
            // A modest first guess in operations a second; the recorder corrects it from the first submissions on.
            rate: Mutex::new(if info.device_type == wgpu::DeviceType::Cpu { 2e9 } else { 2e10 }),
            lost,
            rehearsal: None,
            measured: AtomicBool::new(false),
            memory: adapter.and_then(memory_of),
            device,
            queue,
            limits,
        }))
    }

    /// A device that counts and checks, and does nothing: buffers on it are numbers, dispatches are held against the limits, uploads copy
    /// nothing and what is read back is zeros. So all that a model does on it costs no GPU memory and next to no time, and
    /// [`Device::memory_use`] and [`Device::rehearsal`] tell what it would take. The limits are those of `limits`, such as
    /// [`Device::limits`] or those of an adapter that is not there.
    pub fn dry(&self, limits: wgpu::Limits) -> Self {
        Self(Arc::new(Inner {
            device: self.0.device.clone(),
            queue: self.0.queue.clone(),
            summary: self.0.summary.clone(),
            families: self.0.families.clone(),
            profile: None,
            tuning: self.0.tuning.clone(),
            limits,
            immediates: self.0.immediates,
            shader_checks: self.0.shader_checks,
            accounting: Arc::new(Accounting::new(None)),
            faults: Faults::default(),
            pipelines: Mutex::default(),
            filling: self.0.filling,
            rate: Mutex::new(self.rate()),
            lost: self.0.lost.clone(),
            rehearsal: Some(Rehearsal::default()),
            measured: AtomicBool::new(false),
            memory: self.0.memory,
        }))
    }

    /// What was done on a [dry](Device::dry) device; none on any other.
    pub fn rehearsal(&self) -> Option<&Rehearsal> {
        self.0.rehearsal.as_ref()
    }

    /// The adapter behind this device.
    pub fn adapter(&self) -> &AdapterSummary {
        &self.0.summary
    }

    /// The wgpu device, for sharing buffers with a host application.
    pub fn wgpu_device(&self) -> &wgpu::Device {
        &self.0.device
    }

    /// The wgpu queue that all work of the crate is submitted to.
    pub fn wgpu_queue(&self) -> &wgpu::Queue {
        &self.0.queue
    }

    /// Whether shaders are compiled with run-time checks (see [`DeviceBuilder::shader_checks`]).
    pub fn shader_checks(&self) -> bool {
        self.0.shader_checks
    }

    /// Whether kernel parameters travel as immediates rather than in uniform buffers.
    pub fn immediates(&self) -> bool {
        self.0.immediates
    }

    /// The limits that the device was opened with.
    pub fn limits(&self) -> &wgpu::Limits {
        &self.0.limits
    }

    /// Bytes in buffers of this crate on this device: now, and at most since [`Device::reset_peak`].
    pub fn memory_use(&self) -> crate::gpu::MemoryUse {
        self.0.accounting.memory_use()
    }

    /// The limit of [`DeviceBuilder::memory_limit`], if there is one.
    pub fn memory_limit(&self) -> Option<u64> {
        self.0.accounting.limit()
    }

    /// Bytes of memory that the adapter has of its own, others' use of it included; with a software driver the host's. Known of Vulkan
    /// adapters that this crate opened, not of others.
    pub fn memory_size(&self) -> Option<u64> {
        self.0.memory
    }

    /// Starts a new measurement of the peak in [`Device::memory_use`].
    pub fn reset_peak(&self) {
        self.0.accounting.reset_peak();
    }

    /// How long each dispatch took, where [`DeviceBuilder::profile`] asked for it.
    pub fn profile(&self) -> Option<&Profile> {
        self.0.profile.as_ref()
    }

    /// The kernel families that this device can run, whether they suit it or not.
    pub fn families(&self) -> Vec<Family> {
        self.0.families.runnable()
    }

    /// The choice of a family for an op: see [`Families::choose`].
    pub(crate) fn family(&self, op: &'static str, fits: impl Fn(Family) -> bool, test: impl Fn(Family) -> Result<()>) -> Family {
        // A dry device cannot test; it takes for granted what has not been tested yet.
        self.0.families.choose(op, fits, self.rehearsal().is_none().then_some(test))
    }

    /// The ops and families of kernels that have failed their test on this device so far, and so are not used.
    pub fn failed_families(&self) -> Vec<(&'static str, Family)> {
        self.0.families.failed()
    }

    pub(crate) fn tuning(&self) -> &Tuning {
        &self.0.tuning
    }

    /// The cooperative matrices, where there are some.
    pub(crate) fn coop(&self) -> Option<Coop> {
        self.0.families.facts().coop()
    }

    pub(crate) fn accounting(&self) -> &Arc<Accounting> {
        &self.0.accounting
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// A buffer of the driver's: the one place where GPU memory is asked for.
    pub(crate) fn create_buffer(&self, what: &str, descriptor: &wgpu::BufferDescriptor) -> Result<wgpu::Buffer> {
        self.0.faults.allocate(what)?;
        self.checked(what, || self.0.device.create_buffer(descriptor))
    }

    /// Measured operations a second, for slicing work by time.
    pub(crate) fn rate(&self) -> f64 {
        *self.0.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// [`Device::rate`] once it is more than a guess.
    pub(crate) fn measured_rate(&self) -> Option<f64> {
        self.0.measured.load(Ordering::Relaxed).then(|| self.rate())
    }

    /// Workgroups that a dispatch may have and still take no longer than with one. Software drivers run them one by one.
    pub(crate) fn filling(&self) -> u32 {
        self.0.filling
    }

    /// Moves the measured rate to a new measurement that is lower, and towards one that is higher, by at most a factor of four at once:
    /// what takes too long may end in a reset, what is too short only costs a little.
    pub(crate) fn observe_rate(&self, measured: f64) {
        self.0.measured.store(true, Ordering::Relaxed);
        let mut rate = self.0.rate.lock().unwrap_or_else(PoisonError::into_inner);
        let moved = if measured < *rate { measured } else { 0.5 * *rate + 0.5 * measured };
        *rate = moved.clamp(*rate / 4.0, *rate * 4.0).clamp(1e8, 1e15);
    }

    /// The pipeline of a key, made by `build` when it is asked for the first time.
    pub(crate) fn pipeline(&self, key: PipelineKey, build: impl FnOnce() -> Result<Pipeline>) -> Result<Arc<Pipeline>> {
        let mut pipelines = self.0.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = pipelines.get(&key) {
            return Ok(pipeline.clone());
        }
        let pipeline = Arc::new(build()?);
        pipelines.insert(key, pipeline.clone());
        Ok(pipeline)
    }

    /// Runs `work` and turns the errors that wgpu reports meanwhile into ours.
    pub(crate) fn checked<T>(&self, what: &str, work: impl FnOnce() -> T) -> Result<T> {
        let device = &self.0.device;
        let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
        let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let value = work();
        let validation = pollster::block_on(validation.pop());
        let memory = pollster::block_on(memory.pop());
        let internal = pollster::block_on(internal.pop());
        if let Some(reason) = self.0.lost.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            return Err(Error::Device(format!("the GPU was lost while {what} ({reason})")));
        }
        if memory.is_some() {
            let used = self.memory_use().current;
            return Err(Error::Limits(format!("the GPU is out of memory while {what}, with {used} bytes already in use")));
        }
        match validation.or(internal) {
            Some(error) => Err(Error::Device(format!("wgpu refused {what}: {error}"))),
            None => Ok(value),
        }
    }
}

fn default_shader_checks() -> bool {
    match env::var("WAN_ANIMATE_SHADER_CHECKS").as_deref() {
        Ok("on") => true,
        Ok("off") => false,
        _ => cfg!(debug_assertions),
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Device").field("adapter", self.adapter()).finish_non_exhaustive()
    }
}
