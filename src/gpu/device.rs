//! A GPU, opened with its real limits, or a device that the host application owns.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::gpu::compose::Dialect;
use crate::gpu::family::{self, Coop, Facts, Families, Family};
use crate::gpu::{
    adapter::AdapterSummary, adapter::memory_of, command::IMMEDIATE_BYTES, faults::Faults, memory::Accounting, memory::MemoryUse,
    pipeline::PipelineCache, pipeline::PipelineKey, profile::Profile, rate::Rate, rehearsal::Rehearsal, submitted::Submitted, tune::Tune,
    tune::Tuning, turns::Turns,
};

/// How long a submission is meant to last where nobody says otherwise.
const SUBMISSION_TIME: Duration = Duration::from_millis(200);

/// Below this the GPU is asked whether it is done, not waited for: while wgpu waits, other threads cannot submit.
const SHORT: Duration = Duration::from_millis(50);

/// How long what was submitted may take that nobody wants any longer.
const LAST_WORK: Duration = Duration::from_secs(5);

/// A GPU that is ready for work. Cheap to clone; clones share the device, its pipelines and its memory accounting.
#[derive(Clone)]
pub struct Device(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    summary: AdapterSummary,
    limits: wgpu::Limits,
    dialect: Dialect,
    shader_checks: bool,
    host_networks: bool,
    families: Arc<Families>,
    tuning: Arc<Tuning>,
    filling: u32,
    submission_time: Duration,
    lost: Arc<Mutex<Option<String>>>,
    memory: Option<u64>,
    own: Arc<Own>,
}

/// What a device and its [dry](Device::dry) one do not share.
struct Own {
    accounting: Arc<Accounting>,
    faults: Faults,
    pipelines: PipelineCache,
    rate: Rate,
    profile: Option<Profile>,
    rehearsal: Option<Rehearsal>,
    turns: Arc<Turns>,
}

impl Own {
    fn new(memory_limit: Option<u64>, rate: f64, profile: Option<Profile>, rehearsal: Option<Rehearsal>) -> Self {
        let accounting = Arc::new(Accounting::new(memory_limit));
        let (faults, pipelines, turns) = (Faults::default(), PipelineCache::default(), Arc::default());
        Self { accounting, faults, pipelines, rate: Rate::guess(rate), profile, rehearsal, turns }
    }
}

/// What a [`DeviceBuilder`](crate::DeviceBuilder) was asked for beside an adapter; none stands for the default.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub shader_checks: bool,
    pub memory_limit: Option<u64>,
    pub immediates: Option<bool>,
    pub host_networks: Option<bool>,
    pub family: Option<Family>,
    pub profile: bool,
    pub tune: Option<Tune>,
    pub submission_time: Option<Duration>,
    /// Whether nobody else uses the device.
    pub is_own: bool,
}

impl Device {
    pub(super) fn new(device: wgpu::Device, queue: wgpu::Queue, options: Options, adapter: Option<&wgpu::Adapter>) -> Self {
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
        // An application's own device is no reason to write into the user's folders.
        let is_remembered = options.is_own || options.tune.is_some();
        log::info!("{} {summary}", if options.is_own { "opened" } else { "sharing" });
        Self(Arc::new(Inner {
            tuning: Arc::new(Tuning::new(tune, summary.to_string(), is_remembered)),
            summary,
            families: Arc::new(Families::new(Facts::new(&device, coop), options.family)),
            filling: if software { 1 } else { 256 },
            submission_time: options.submission_time.unwrap_or(SUBMISSION_TIME),
            dialect: Dialect {
                immediates: options.immediates.unwrap_or(true)
                    && device.features().contains(wgpu::Features::IMMEDIATES)
                    && limits.max_immediate_size as usize >= IMMEDIATE_BYTES,
                long: software && device.features().contains(wgpu::Features::SHADER_INT64),
            },
            shader_checks: options.shader_checks,
            host_networks: options.host_networks.unwrap_or(software),
            // Modest guesses in operations a second; engines correct them from the first submissions on.
            own: Arc::new(Own::new(options.memory_limit, if software { 2e9 } else { 2e10 }, options.profile.then(Profile::default), None)),
            lost,
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
    #[doc(hidden)]
    pub fn dry(&self, limits: wgpu::Limits) -> Self {
        // Nothing can be timed.
        let tuning = Arc::new(Tuning::new(Tune::Off, self.0.summary.to_string(), false));
        let own = Arc::new(Own::new(None, self.rate().get(), None, Some(Rehearsal::default())));
        Self(Arc::new(Inner { limits, tuning, own, ..(*self.0).clone() }))
    }

    /// What was done on a [dry](Device::dry) device; none on any other.
    #[doc(hidden)]
    pub fn rehearsal(&self) -> Option<&Rehearsal> {
        self.0.own.rehearsal.as_ref()
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

    /// Whether shaders are compiled with run-time checks (see [`DeviceBuilder::shader_checks`](crate::DeviceBuilder::shader_checks)).
    pub fn shader_checks(&self) -> bool {
        self.0.shader_checks
    }

    /// Whether networks from ONNX files are computed on the host (see [`DeviceBuilder::host_networks`](crate::DeviceBuilder::host_networks)).
    pub fn host_networks(&self) -> bool {
        self.0.host_networks
    }

    /// Whether kernel parameters travel as immediates rather than in uniform buffers.
    pub fn immediates(&self) -> bool {
        self.0.dialect.immediates
    }

    /// What modules are written with.
    pub(crate) fn dialect(&self) -> Dialect {
        self.0.dialect
    }

    /// The limits that the device was opened with.
    pub fn limits(&self) -> &wgpu::Limits {
        &self.0.limits
    }

    /// Bytes in buffers of this crate on this device: now, and at most since [`Device::reset_peak`].
    pub fn memory_use(&self) -> MemoryUse {
        self.0.own.accounting.memory_use()
    }

    /// The limit of [`DeviceBuilder::memory_limit`](crate::DeviceBuilder::memory_limit), if there is one.
    pub fn memory_limit(&self) -> Option<u64> {
        self.0.own.accounting.limit()
    }

    /// Bytes of memory that the adapter has of its own, others' use of it included; with a software driver the host's. Known of Vulkan
    /// adapters, those of an application's own device among them where the adapter was [given](crate::DeviceBuilder::wgpu).
    pub fn memory_size(&self) -> Option<u64> {
        self.0.memory
    }

    /// Bytes that all who work on it may take together, where anything is known of that.
    pub(crate) fn room(&self) -> Option<u64> {
        let most = self.memory_size().map(|bytes| bytes / 10 * 9);
        most.into_iter().chain(self.memory_limit()).min()
    }

    /// Starts a new measurement of the peak in [`Device::memory_use`].
    pub fn reset_peak(&self) {
        self.0.own.accounting.reset_peak();
    }

    /// How long each dispatch took, where [`DeviceBuilder::profile`](crate::DeviceBuilder::profile) asked for it.
    pub fn profile(&self) -> Option<&Profile> {
        self.0.own.profile.as_ref()
    }

    /// The kernel families that this device can run, whether they suit it or not.
    #[doc(hidden)]
    pub fn families(&self) -> Vec<Family> {
        self.0.families.runnable()
    }

    /// The choice of a family for an op: see [`Families::choose`].
    pub(crate) fn family(&self, op: &'static str, fits: impl Fn(Family) -> bool, test: impl Fn(Family) -> Result<()>) -> Family {
        // A dry device cannot test; it takes for granted what has not been tested yet.
        self.0.families.choose(op, fits, self.rehearsal().is_none().then_some(test))
    }

    /// The ops and families of kernels that have failed their test on this device so far, and so are not used.
    #[doc(hidden)]
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

    /// See [`Facts::is_rdna4`].
    pub(crate) fn is_rdna4(&self) -> bool {
        self.0.families.facts().is_rdna4()
    }

    /// Whether shaders multiply and add four bytes in one instruction.
    pub(crate) fn has_byte_products(&self) -> bool {
        self.0.families.facts().byte_products
    }

    /// See [`Facts::is_apple`].
    pub(crate) fn is_apple(&self) -> bool {
        self.0.families.facts().is_apple()
    }

    /// See [`Facts::is_software`].
    pub(crate) fn is_software(&self) -> bool {
        self.0.families.facts().is_software()
    }

    pub(crate) fn accounting(&self) -> &Arc<Accounting> {
        &self.0.own.accounting
    }

    /// Counts allocations from 0 again and makes those of these numbers fail as if the GPU had no memory left: for tests. Returns how many
    /// there have been since the last call.
    #[doc(hidden)]
    pub fn fail_allocations(&self, numbers: Range<u64>) -> u64 {
        self.0.own.faults.fail(numbers)
    }

    /// A buffer of the driver's: the one place where GPU memory is asked for. For use within [`Device::checked`].
    pub(super) fn allocate(&self, what: &str, descriptor: &wgpu::BufferDescriptor) -> Result<wgpu::Buffer> {
        self.0.own.faults.allocate(what)?;
        Ok(self.0.device.create_buffer(descriptor))
    }

    /// [`Device::allocate`] by itself.
    pub(super) fn create_buffer(&self, what: &str, descriptor: &wgpu::BufferDescriptor) -> Result<wgpu::Buffer> {
        self.checked(what, || self.allocate(what, descriptor))?
    }

    /// Gives the queue commands, or nothing, which brings the writes that wait for a submission.
    pub(super) fn submit(&self, commands: Option<wgpu::CommandBuffer>) -> Submitted {
        Submitted::new(&self.0.queue, commands)
    }

    /// Blocks until a submission has ended, or all that were made so far: the one place where the GPU is waited for.
    pub(super) fn wait(&self, submission: Option<&Submitted>) -> Result<()> {
        let polled = self.checked("waiting for the GPU", || match self.0.submission_time < SHORT {
            true => self.ask(submission),
            false => {
                let submission_index = submission.map(|submission| submission.index.clone());
                self.0.device.poll(wgpu::PollType::Wait { submission_index, timeout: None }).map(drop)
            }
        })?;
        polled.map_err(|error| self.fault("waiting for the GPU", format!("waiting for the GPU failed: {error}")))
    }

    /// Asks again and again whether a submission has ended.
    fn ask(&self, submission: Option<&Submitted>) -> Result<(), wgpu::PollError> {
        let submission = submission.cloned().unwrap_or_else(|| self.submit(None));
        loop {
            self.0.device.poll(wgpu::PollType::Poll)?;
            if submission.is_done() || self.loss("waiting for it").is_some() {
                return Ok(());
            }
            thread::sleep(self.0.submission_time / 20);
        }
    }

    /// How long a submission is meant to last: see [`DeviceBuilder::submission_time`](crate::DeviceBuilder::submission_time).
    pub(super) fn submission_time(&self) -> Duration {
        self.0.submission_time
    }

    /// Whose turn it is.
    pub(crate) fn turns(&self) -> &Arc<Turns> {
        &self.0.own.turns
    }

    /// Operations a second, for slicing work by time.
    pub(crate) fn rate(&self) -> &Rate {
        &self.0.own.rate
    }

    /// Workgroups that a dispatch may have and still take no longer than with one. Software drivers run them one by one.
    pub(super) fn filling(&self) -> u32 {
        self.0.filling
    }

    /// What was compiled on this device so far.
    #[doc(hidden)]
    pub fn compiled(&self) -> Vec<PipelineKey> {
        self.pipelines().keys()
    }

    pub(super) fn pipelines(&self) -> &PipelineCache {
        &self.0.own.pipelines
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
        if let Some(lost) = self.loss(what) {
            return Err(lost);
        }
        if memory.is_some() {
            let used = self.memory_use().current;
            return Err(Error::limits(format!("the GPU is out of memory while {what}, with {used} bytes already in use")));
        }
        match validation.or(internal) {
            Some(error) => Err(self.fault(what, format!("wgpu refused {what}: {error}"))),
            None => Ok(value),
        }
    }

    /// The error for something that wgpu refused: that the GPU was lost, where that is why.
    pub(super) fn fault(&self, what: &str, message: String) -> Error {
        // A device says that it is lost only when it is polled and what it had to do is over.
        self.0.device.poll(wgpu::PollType::Wait { submission_index: None, timeout: Some(LAST_WORK) }).ok();
        self.loss(what).unwrap_or(Error::Device(message))
    }

    /// The error for a GPU that was lost, if it was.
    fn loss(&self, what: &str) -> Option<Error> {
        let lost = self.0.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.as_ref().map(|reason| Error::DeviceLost(format!("the GPU was lost while {what} ({reason})")))
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Device").field("adapter", self.adapter()).finish_non_exhaustive()
    }
}
