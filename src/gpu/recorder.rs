//! Commands to the GPU, in order.
//!
//! Ops record dispatches; the recorder gathers them into passes and submits a pass when it holds about [`SUBMIT_SECONDS`] of
//! work by the measured rate. A dispatch longer than [`DISPATCH_SECONDS`] is cut into runs of workgroups, because operating
//! systems reset a GPU that does not answer. At most [`IN_FLIGHT`] submissions wait, so that cancelling takes effect soon.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::arena::{Arena, Block, Holds, bytes_of};
use crate::gpu::device::{Device, IMMEDIATE_BYTES};
use crate::gpu::kernel::{Arg, Element, Kernel, Pipeline, PipelineKey};
use crate::gpu::profile::Timer;
use crate::gpu::sink::{CHUNK, Read};
use crate::tensor::Tensor;

/// No submission is meant to last longer.
pub const SUBMIT_SECONDS: f64 = 0.2;
/// No dispatch is meant to last longer.
pub const DISPATCH_SECONDS: f64 = 0.1;
/// Submissions that may wait on the GPU at once.
pub const IN_FLIGHT: usize = 2;
/// Bytes of weights that one submission may bring; with those in flight, the staging memory of the host.
const MOST_STAGED: usize = 4 * CHUNK;

/// A wait that is longer than asking takes.
const NOTICEABLE: Duration = Duration::from_micros(200);

/// What a [`Probe`] fills tensors with: NaN as f32, f16 and bf16.
pub const POISON: u32 = 0x7fff_7fff;
/// Bytes of [`POISON`] after each tensor, where a [`Probe`] asks for them.
pub const GUARD_BYTES: u64 = 256;

/// What tests ask of a recorder besides recording.
#[derive(Clone, Copy, Debug, Default)]
pub struct Probe {
    /// Fills every new tensor and [`GUARD_BYTES`] after it with [`POISON`], so that missing and stray writes show.
    pub guards: bool,
    /// Submits after this many workgroups; 0 stands for as many as time allows.
    pub slice: u32,
    /// Notes how long submissions take, for [`Recorder::submissions`].
    pub timed: bool,
}

/// Records work for one device. Tensors that it makes may be used with this recorder alone; weights with any.
#[derive(Debug)]
pub struct Recorder {
    device: Device,
    arena: Arc<Arena>,
    /// For weights that come and go. Not for activations, so that the slot that one layer leaves is there for the next.
    slots: Arc<Arena>,
    staging: wgpu::util::StagingBelt,
    /// Bytes of weights in staging memory since the last submission.
    staged: usize,
    cancel: Cancel,
    open: Option<Open>,
    work: f64,
    in_flight: VecDeque<Submission>,
    /// When the submission before ended, where that is known.
    last_done: Option<Instant>,
    probe: Probe,
    submissions: Vec<Duration>,
    /// Where the device is profiled.
    timer: Option<Timer>,
}

/// The command buffer under construction.
#[derive(Debug)]
struct Open {
    // Declared before the encoder, so that the pass ends before the encoder drops.
    pass: Option<wgpu::ComputePass<'static>>,
    encoder: wgpu::CommandEncoder,
}

impl Open {
    fn new(device: &Device) -> Self {
        Self { pass: None, encoder: device.wgpu_device().create_command_encoder(&Default::default()) }
    }
}

#[derive(Debug)]
struct Submission {
    index: wgpu::SubmissionIndex,
    work: f64,
    at: Instant,
}

impl Recorder {
    /// A recorder that stops with [`Error::Cancelled`] when `cancel` is set.
    pub fn new(device: &Device, cancel: Cancel) -> Self {
        Self {
            device: device.clone(),
            arena: Arena::new(device, Holds::Activations),
            slots: Arena::new(device, Holds::Weights),
            staging: wgpu::util::StagingBelt::new(device.wgpu_device().clone(), CHUNK as u64),
            staged: 0,
            cancel,
            open: None,
            work: 0.0,
            in_flight: VecDeque::new(),
            last_done: None,
            probe: Probe::default(),
            submissions: Vec::new(),
            timer: Timer::new(device),
        }
    }

    /// The recorder under test conditions.
    pub fn with_probe(self, probe: Probe) -> Self {
        Self { probe, ..self }
    }

    /// How long each submission took that has ended, where a [`Probe`] asks for it.
    pub fn submissions(&self) -> &[Duration] {
        &self.submissions
    }

    /// Says what is going on to a device's [profile](Device::profile), where it has one.
    pub fn set_stage(&mut self, stage: &'static str) {
        if let Some(timer) = &mut self.timer {
            timer.set_stage(stage);
        }
    }

    /// The device that the work goes to.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Gives all free buffers back to the driver.
    pub fn trim(&self) {
        self.arena.trim();
        self.slots.trim();
    }

    /// A tensor whose contents are yet to be written.
    pub fn alloc(&mut self, shape: &[usize], dtype: DType) -> Result<Tensor> {
        let bytes = bytes_of(shape, dtype)?;
        if !self.probe.guards {
            return Ok(Tensor::new(self.take(&self.arena.clone(), "activation", bytes)?, shape, dtype));
        }
        let tensor = Tensor::new(self.take(&self.arena.clone(), "guarded activation", bytes + GUARD_BYTES)?, shape, dtype);
        self.upload_bytes(&tensor, bytemuck::cast_slice(&vec![POISON; tensor.buffer_bytes() as usize / 4]))?;
        Ok(tensor)
    }

    /// Memory of an arena. Where there is none left, once more without free buffers of other sizes, which the driver takes back
    /// only when the commands that used them have run.
    fn take(&mut self, arena: &Arc<Arena>, label: &str, bytes: u64) -> Result<Block> {
        match arena.take(label, bytes) {
            Err(Error::Limits(_)) => {}
            done => return done,
        }
        self.finish()?;
        self.trim();
        arena.take(label, bytes)
    }

    /// Weights in a slot that others have left: copied in the order of recording, so after the commands that still read those.
    pub(super) fn stream(&mut self, label: &str, shape: &[usize], dtype: DType, size: u64, read: &Read) -> Result<Tensor> {
        let tensor = Tensor::new(self.take(&self.slots.clone(), label, size)?, shape, dtype);
        if self.device.rehearsal().is_some() {
            return Ok(tensor);
        }
        let bytes = read()?;
        for (chunk, number) in bytes.chunks(CHUNK).zip(0..) {
            self.stage(&tensor, number * CHUNK as u64, chunk)?;
            self.staged += chunk.len();
            if self.staged >= MOST_STAGED {
                self.flush()?;
            }
        }
        Ok(tensor)
    }

    fn stage(&mut self, tensor: &Tensor, offset: u64, chunk: &[u8]) -> Result<()> {
        let Some(size) = wgpu::BufferSize::new(chunk.len().next_multiple_of(4) as u64) else { return Ok(()) };
        self.copy_encoder();
        let (device, staging) = (&self.device, &mut self.staging);
        let Some(open) = &mut self.open else { return Ok(()) };
        device.checked("staging weights", || {
            staging.write_buffer(&mut open.encoder, tensor.buffer(), offset, size).slice(..chunk.len()).copy_from_slice(chunk);
        })
    }

    /// Copies values from the host into a new f32 tensor.
    pub fn upload(&mut self, shape: &[usize], values: &[f32]) -> Result<Tensor> {
        if bytes_of(shape, DType::F32)? != values.len() as u64 * 4 {
            let count: usize = shape.iter().product();
            return Err(Error::Input(format!("a tensor of shape {shape:?} has {count} values, {} were given", values.len())));
        }
        let tensor = self.alloc(shape, DType::F32)?;
        self.upload_bytes(&tensor, bytemuck::cast_slice(values))?;
        Ok(tensor)
    }

    /// [`Recorder::upload`] of values that are dear to make: a dry device does not ask for them.
    pub fn upload_with(&mut self, shape: &[usize], values: impl FnOnce() -> Result<Vec<f32>>) -> Result<Tensor> {
        match self.device.rehearsal() {
            Some(_) => self.alloc(shape, DType::F32),
            None => self.upload(shape, &values()?),
        }
    }

    /// A new tensor of zeros.
    pub fn zeros(&mut self, shape: &[usize]) -> Result<Tensor> {
        self.upload_with(shape, || Ok(vec![0.0; shape.iter().product()]))
    }

    /// Copies indices from the host into a new tensor for [`Arg::index`].
    pub fn upload_indices(&mut self, values: &[u32]) -> Result<Tensor> {
        let tensor = self.alloc(&[values.len()], DType::F32)?;
        self.upload_bytes(&tensor, bytemuck::cast_slice(values))?;
        Ok(tensor)
    }

    /// Through a staging buffer and a recorded copy: a direct write would overtake commands that are still to be submitted.
    fn upload_bytes(&mut self, tensor: &Tensor, bytes: &[u8]) -> Result<()> {
        if self.device.rehearsal().is_some() {
            return Ok(());
        }
        let staging = self.mapped("upload", bytes, wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::MAP_WRITE)?;
        self.copy_encoder().copy_buffer_to_buffer(&staging, 0, tensor.buffer(), 0, bytes.len() as u64);
        Ok(())
    }

    /// A new buffer that holds `bytes`, padded to a multiple of 16.
    fn mapped(&self, label: &str, bytes: &[u8], usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        let size = (bytes.len().max(1) as u64).next_multiple_of(16);
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: true };
        let buffer = self.device.create_buffer("allocating a staging buffer", &descriptor)?;
        buffer
            .get_mapped_range_mut(..bytes.len() as u64)
            .map_err(|error| Error::Device(format!("cannot write to a staging buffer: {error}")))?
            .copy_from_slice(bytes);
        buffer.unmap();
        Ok(buffer)
    }

    /// Waits for all recorded work and copies an f32 tensor to the host.
    pub fn download(&mut self, tensor: &Tensor) -> Result<Vec<f32>> {
        self.download_values(tensor, 0, tensor.len())
    }

    /// The same, each entry of the first axis by itself: what is on its way is no more than one of them.
    pub fn download_each(&mut self, tensor: &Tensor) -> Result<Vec<Vec<f32>>> {
        let count = tensor.shape().first().copied().unwrap_or(1);
        let length = tensor.len() / count.max(1);
        (0..count).map(|entry| self.download_values(tensor, entry * length, length)).collect()
    }

    fn download_values(&mut self, tensor: &Tensor, first: usize, count: usize) -> Result<Vec<f32>> {
        if tensor.dtype() != DType::F32 {
            return Err(Error::Unsupported(format!("reading back a tensor of {}; cast it to f32 first", tensor.dtype())));
        }
        match self.device.rehearsal() {
            // Zeros that nobody has written yet: plans of large videos would do little else than write them.
            Some(_) => Ok(vec![0.0; count]),
            None => self.read(tensor, first as u64 * 4..(first + count) as u64 * 4, bytemuck::pod_collect_to_vec),
        }
    }

    /// Waits for all recorded work and copies a tensor's whole buffer to the host: its data and what lies behind them.
    pub fn download_buffer(&mut self, tensor: &Tensor) -> Result<Vec<u8>> {
        match self.device.rehearsal() {
            Some(_) => Ok(vec![0; tensor.buffer_bytes() as usize]),
            None => self.read(tensor, 0..tensor.buffer_bytes(), <[u8]>::to_vec),
        }
    }

    /// What `take` makes of some of a tensor's bytes.
    fn read<T>(&mut self, tensor: &Tensor, range: Range<u64>, take: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let bytes = range.end - range.start;
        let descriptor = wgpu::BufferDescriptor {
            label: Some("download"),
            size: bytes.max(4),
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        };
        let staging = self.device.create_buffer("allocating a read-back buffer", &descriptor)?;
        self.copy_encoder().copy_buffer_to_buffer(tensor.buffer(), range.start, &staging, 0, bytes);
        self.finish()?;
        let view = self.device.checked("mapping a read-back buffer", || {
            staging.map_async(wgpu::MapMode::Read, .., |_| ());
            self.device.wgpu_device().poll(wgpu::PollType::wait_indefinitely()).map(|_| staging.get_mapped_range(..))
        })?;
        match view {
            Ok(Ok(view)) => Ok(take(&view[..bytes as usize])),
            Ok(Err(error)) => Err(Error::Device(format!("cannot read back: {error}"))),
            Err(error) => Err(Error::Device(format!("cannot read back: {error}"))),
        }
    }

    /// Copies `count` elements of `source` from element `from` on to element `to` of `target`, both of the same type.
    pub fn copy(&mut self, source: &Tensor, from: usize, target: &Tensor, to: usize, count: usize) -> Result<()> {
        let bytes = source.dtype().bytes();
        let (from, to, size) = (from as u64 * bytes, to as u64 * bytes, count as u64 * bytes);
        debug_assert_eq!(source.dtype(), target.dtype());
        if from % 4 != 0 || to % 4 != 0 || size % 4 != 0 {
            return Err(Error::Unsupported(format!("a copy of {size} bytes from {from} to {to}: all must be multiples of four")));
        }
        if self.device.rehearsal().is_none() {
            self.copy_encoder().copy_buffer_to_buffer(source.buffer(), from, target.buffer(), to, size);
        }
        Ok(())
    }

    /// Records `groups` workgroups of a kernel. `work` is the number of operations of one workgroup, for slicing by time.
    pub fn dispatch<P: bytemuck::Pod>(
        &mut self,
        kernel: &'static Kernel,
        constants: &[(&'static str, u32)],
        params: &P,
        args: &[Arg],
        groups: usize,
        work: f64,
    ) -> Result<()> {
        debug_assert_eq!(kernel.slots.len(), args.len(), "{}", kernel.name);
        debug_assert_eq!(size_of::<P>(), kernel.params_bytes, "{}", kernel.name);
        debug_assert!(size_of::<P>() + 16 <= IMMEDIATE_BYTES as usize, "{}", kernel.name);
        debug_assert!(kernel.has_variant(constants), "`{}` declares no variant {constants:?}", kernel.name);
        kernel.check_elements(args)?;
        let key =
            PipelineKey { kernel: kernel.name, elements: args.iter().map(|arg| arg.element).collect(), constants: constants.to_vec() };
        let groups = u32::try_from(groups).map_err(|_| Error::Limits(format!("`{}` needs {groups} workgroups", kernel.name)))?;
        if let Some(rehearsal) = self.device.rehearsal() {
            return rehearsal.dispatch(&self.device, kernel, key, args, groups, work);
        }
        let pipeline = self.device.pipeline(key.clone(), || kernel.build(&self.device, &key))?;
        let mut first = 0;
        while first < groups {
            let end = groups.min(first.saturating_add(self.affordable(work)));
            self.run(kernel, &pipeline, args, bytemuck::bytes_of(params), first, end)?;
            // Fewer workgroups than fill the GPU take as long as those that would.
            self.work += f64::from((end - first).max(self.device.filling())) * work;
            first = end;
            let full = self.probe.slice > 0 || self.timer.as_ref().is_some_and(Timer::is_full);
            if full || self.work > self.device.rate() * SUBMIT_SECONDS {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// How many workgroups of so much work one dispatch may have.
    fn affordable(&self, work: f64) -> u32 {
        match self.probe.slice {
            0 => (self.device.rate() * DISPATCH_SECONDS / work.max(1.0)).clamp(1.0, f64::from(u32::MAX)) as u32,
            slice => slice,
        }
    }

    fn run(&mut self, kernel: &Kernel, pipeline: &Pipeline, args: &[Arg], params: &[u8], first: u32, end: u32) -> Result<()> {
        let most = self.device.limits().max_compute_workgroups_per_dimension;
        let count = end - first;
        let width = count.min(most);
        let mut immediates = [0u8; IMMEDIATE_BYTES as usize];
        immediates[..12].copy_from_slice(bytemuck::bytes_of(&[first, end, width]));
        immediates[16..16 + params.len()].copy_from_slice(params);
        let uniform = match self.device.immediates() {
            true => None,
            false => Some(self.mapped("params", &immediates, wgpu::BufferUsages::UNIFORM)?),
        };
        let buffers = args.iter().filter(|arg| arg.element != Element::Absent).filter_map(|arg| arg.tensor).map(Tensor::buffer);
        let entries: Vec<_> = buffers
            .chain(&uniform)
            .zip(0..)
            .map(|(buffer, binding)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
            .collect();
        let descriptor = wgpu::BindGroupDescriptor { label: Some(kernel.name), layout: &pipeline.layout, entries: &entries };
        let group = self.device.checked("binding buffers", || self.device.wgpu_device().create_bind_group(&descriptor))?;
        let immediate = uniform.is_none();
        let pass = self.pass(kernel.name);
        pass.set_pipeline(&pipeline.pipeline);
        pass.set_bind_group(0, &group, &[]);
        if immediate {
            pass.set_immediates(0, &immediates);
        }
        pass.dispatch_workgroups(width, count.div_ceil(width), 1);
        Ok(())
    }

    /// A pass of its own for each dispatch where the device is profiled, else the open one.
    fn pass(&mut self, kernel: &'static str) -> &mut wgpu::ComputePass<'static> {
        let open = self.open.get_or_insert_with(|| Open::new(&self.device));
        if let Some(timer) = &mut self.timer {
            open.pass = None;
            open.pass = Some(timer.pass(&mut open.encoder, kernel));
        }
        let encoder = &mut open.encoder;
        open.pass.get_or_insert_with(|| encoder.begin_compute_pass(&Default::default()).forget_lifetime())
    }

    /// The encoder, with no pass open.
    fn copy_encoder(&mut self) -> &mut wgpu::CommandEncoder {
        let open = self.open.get_or_insert_with(|| Open::new(&self.device));
        open.pass = None;
        &mut open.encoder
    }

    /// Submits what is recorded, and waits until no more than [`IN_FLIGHT`] submissions are under way.
    ///
    /// # Errors
    /// [`Error::Cancelled`] where the flag was set: what is recorded is then dropped.
    pub fn flush(&mut self) -> Result<()> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        open.pass = None;
        let work = std::mem::take(&mut self.work);
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        self.staging.finish();
        self.staged = 0;
        if let Some(timer) = &mut self.timer {
            timer.resolve(&mut open.encoder);
        }
        let index = self.device.checked("running kernels", || self.device.wgpu_queue().submit([open.encoder.finish()]))?;
        self.staging.recall();
        self.in_flight.push_back(Submission { index, work, at: Instant::now() });
        match self.timer.is_some() {
            true => self.wait_until(0),
            false => self.wait_until(IN_FLIGHT),
        }
    }

    /// Submits what is recorded and waits for all of it.
    pub fn finish(&mut self) -> Result<()> {
        self.flush()?;
        self.wait_until(0)
    }

    fn wait_until(&mut self, remaining: usize) -> Result<()> {
        while self.in_flight.len() > remaining {
            let Some(submission) = self.in_flight.pop_front() else { break };
            let poll = wgpu::PollType::Wait { submission_index: Some(submission.index), timeout: None };
            let asked = Instant::now();
            let polled = self.device.checked("waiting for the GPU", || self.device.wgpu_device().poll(poll))?;
            polled.map_err(|error| Error::Device(format!("waiting for the GPU failed: {error}")))?;
            let now = Instant::now();
            let begun = self.last_done.map_or(submission.at, |last| last.max(submission.at));
            let seconds = (now - begun).as_secs_f64();
            // What did not have to be waited for had ended before. To count the next one from now on would make it look too fast.
            if self.probe.timed {
                self.submissions.push(now - begun);
            }
            self.last_done = (now - asked > NOTICEABLE).then_some(now);
            // Short submissions tell of overheads, not of the rate.
            if submission.work > 0.1 * SUBMIT_SECONDS * self.device.rate() && seconds > 0.0 {
                self.device.observe_rate(submission.work / seconds);
            }
            if let Some(timer) = &mut self.timer {
                timer.collect()?;
            }
        }
        Ok(())
    }
}
