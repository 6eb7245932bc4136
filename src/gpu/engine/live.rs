//! Runs commands on a GPU.
//!
//! Commands are gathered and submitted together when they are about as much work, by the measured rate, as the device's
//! [submission time](crate::DeviceBuilder::submission_time) has room for. A dispatch longer than half of that is cut into runs of workgroups,
//! because operating systems reset a GPU that does not answer. At most [`IN_FLIGHT`] submissions wait, so that cancelling takes effect soon.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use web_time::Instant;

use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::gpu::command::{BufferRef, Copy, Dispatch};
use crate::gpu::engine::{Engine, Probe};
use crate::gpu::{device::Device, download::Download, pending::Pending, pipeline::Pipeline, submitted::Submitted, timer::Timer};

/// Submissions that may wait on the GPU at once.
pub const IN_FLIGHT: usize = 2;
/// Bytes that are on their way at once: what staging memory is bounded by.
pub(crate) const CHUNK: usize = 4 << 20;
/// Bytes of weights that one submission may bring; with those in flight, the staging memory of the host.
const MOST_STAGED: usize = 4 * CHUNK;

/// A wait that is longer than asking takes.
const NOTICEABLE: Duration = Duration::from_micros(200);

#[derive(Debug)]
pub(crate) struct LiveEngine {
    device: Device,
    cancel: Cancel,
    /// What the next submission is of.
    commands: Vec<Command>,
    work: f64,
    staging: wgpu::util::StagingBelt,
    /// Bytes of weights in staging memory since the last submission.
    staged: usize,
    in_flight: VecDeque<Submission>,
    /// The last submission, whether it has ended or not.
    last: Option<Submitted>,
    /// When the submission before ended, where that is known.
    last_done: Option<Instant>,
    probe: Probe,
    submissions: Vec<Duration>,
    stage: &'static str,
    /// Where the device is profiled.
    timer: Option<Timer>,
}

#[derive(Debug)]
enum Command {
    Run(Run),
    Copy(Copy),
    Texture(ToTexture),
}

/// Rows of a buffer that become a texture.
#[derive(Debug)]
struct ToTexture {
    source: BufferRef,
    layout: wgpu::TexelCopyBufferLayout,
    texture: wgpu::Texture,
}

/// Some workgroups of a dispatch.
#[derive(Debug)]
struct Run {
    dispatch: Arc<Dispatch>,
    pipeline: Arc<Pipeline>,
    groups: Range<u32>,
    stage: &'static str,
}

#[derive(Debug)]
struct Submission {
    submitted: Submitted,
    work: f64,
    at: Instant,
}

impl LiveEngine {
    pub(crate) fn new(device: &Device, cancel: Cancel) -> Self {
        Self {
            device: device.clone(),
            cancel,
            commands: Vec::new(),
            work: 0.0,
            staging: wgpu::util::StagingBelt::new(device.wgpu_device().clone(), CHUNK as u64),
            staged: 0,
            in_flight: VecDeque::new(),
            last: None,
            last_done: None,
            probe: Probe::default(),
            submissions: Vec::new(),
            stage: "",
            timer: Timer::new(device),
        }
    }

    /// As much work as one submission is meant to have.
    fn most(&self) -> f64 {
        self.device.rate().get() * self.device.submission_time().as_secs_f64()
    }

    /// How many workgroups of so much work one dispatch may have.
    fn affordable(&self, work: f64) -> u32 {
        match self.probe.slice {
            0 => (self.most() / 2.0 / work.max(1.0)).clamp(1.0, f64::from(u32::MAX)) as u32,
            slice => slice,
        }
    }

    /// A new buffer that holds `bytes`, padded to a multiple of 16. For use within [`Device::checked`].
    fn mapped(&self, what: &str, bytes: &[u8], usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        let size = (bytes.len().max(1) as u64).next_multiple_of(16);
        let buffer = self.device.allocate(what, &wgpu::BufferDescriptor { label: Some(what), size, usage, mapped_at_creation: true })?;
        buffer
            .get_mapped_range_mut(..bytes.len() as u64)
            .map_err(|error| self.device.fault(what, format!("cannot write to a staging buffer: {error}")))?
            .copy_from_slice(bytes);
        buffer.unmap();
        Ok(buffer)
    }

    /// One chunk of weights by way of staging memory.
    fn stage(&mut self, target: &BufferRef, to: u64, chunk: &[u8]) -> Result<()> {
        let Some(size) = wgpu::BufferSize::new(chunk.len().next_multiple_of(4) as u64) else { return Ok(()) };
        let staging = &mut self.staging;
        let source = self.device.checked("staging weights", || {
            let slice = staging.allocate(size, wgpu::BufferSize::MIN.saturating_add(15));
            let mut view = slice.get_mapped_range_mut()?;
            view.slice(..chunk.len()).copy_from_slice(chunk);
            Ok::<_, wgpu::MapRangeError>((slice.buffer().clone(), slice.offset()))
        })?;
        let (buffer, from) =
            source.map_err(|error| self.device.fault("staging weights", format!("cannot write to a staging buffer: {error}")))?;
        let source = BufferRef { buffer: Some(buffer), bytes: size.get() };
        self.commands.push(Command::Copy(Copy { source, from, target: target.clone(), to, bytes: size.get() }));
        Ok(())
    }

    /// The command buffer of the commands. For use within [`Device::checked`].
    fn encode(&mut self, commands: &[Command]) -> Result<wgpu::CommandBuffer> {
        let mut encoder = self.device.wgpu_device().create_command_encoder(&Default::default());
        let mut pass: Option<wgpu::ComputePass> = None;
        for command in commands {
            match command {
                Command::Copy(copy) => {
                    pass = None;
                    encoder.copy_buffer_to_buffer(copy.source.wgpu(), copy.from, copy.target.wgpu(), copy.to, copy.bytes);
                }
                Command::Texture(ToTexture { source, layout, texture }) => {
                    pass = None;
                    let source = wgpu::TexelCopyBufferInfo { buffer: source.wgpu(), layout: *layout };
                    encoder.copy_buffer_to_texture(source, texture.as_image_copy(), texture.size());
                }
                Command::Run(run) => {
                    if let Some(timer) = &mut self.timer {
                        // A pass of its own for each dispatch, and no two at once.
                        drop(pass.take());
                        pass = Some(timer.pass(&mut encoder, run.dispatch.kernel.name, run.stage));
                    }
                    let pass = pass.get_or_insert_with(|| encoder.begin_compute_pass(&Default::default()).forget_lifetime());
                    self.run(pass, run)?;
                }
            }
        }
        drop(pass);
        if let Some(timer) = &mut self.timer {
            timer.resolve(&mut encoder);
        }
        Ok(encoder.finish())
    }

    fn run(&self, pass: &mut wgpu::ComputePass, Run { dispatch, pipeline, groups, .. }: &Run) -> Result<()> {
        let count = groups.end - groups.start;
        let width = count.min(self.device.limits().max_compute_workgroups_per_dimension);
        let immediates = dispatch.params.of_slice(groups, width);
        let uniform = match self.device.immediates() {
            true => None,
            false => Some(self.mapped("allocating parameters", &immediates, wgpu::BufferUsages::UNIFORM)?),
        };
        let buffers = dispatch.buffers.iter().map(BufferRef::wgpu).chain(&uniform).zip(0..);
        let entries: Vec<_> =
            buffers.map(|(buffer, binding)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() }).collect();
        let descriptor = wgpu::BindGroupDescriptor { label: Some(dispatch.kernel.name), layout: &pipeline.layout, entries: &entries };
        pass.set_pipeline(&pipeline.pipeline);
        pass.set_bind_group(0, &self.device.wgpu_device().create_bind_group(&descriptor), &[]);
        if uniform.is_none() {
            pass.set_immediates(0, &immediates);
        }
        pass.dispatch_workgroups(width, count.div_ceil(width), 1);
        Ok(())
    }

    /// Waits until no more than `remaining` submissions are under way.
    fn wait_until(&mut self, remaining: usize) -> Result<()> {
        while self.in_flight.len() > remaining {
            let Some(Submission { submitted, work, at }) = self.in_flight.pop_front() else { break };
            let asked = Instant::now();
            self.device.wait(Some(&submitted))?;
            let now = Instant::now();
            self.note(work, at, now);
            // What did not have to be waited for had ended before. To count the next one from now on would make it look too fast.
            self.last_done = (now - asked > NOTICEABLE).then_some(now);
            if let Some(timer) = &mut self.timer {
                timer.collect()?;
            }
        }
        Ok(())
    }

    /// A submission has ended, now or before.
    fn note(&mut self, work: f64, at: Instant, now: Instant) {
        let begun = self.last_done.map_or(at, |last| last.max(at));
        if self.probe.timed {
            self.submissions.push(now - begun);
        }
        let (rate, seconds) = (self.device.rate(), (now - begun).as_secs_f64());
        // Short submissions tell of overheads, not of the rate.
        if work > 0.1 * self.most() && seconds > 0.0 {
            rate.observe(work / seconds);
        }
    }
}

impl Engine for LiveEngine {
    fn set_probe(&mut self, probe: Probe) {
        self.probe = probe;
    }

    fn set_stage(&mut self, stage: &'static str) {
        self.stage = stage;
    }

    fn submissions(&self) -> &[Duration] {
        &self.submissions
    }

    fn backlog(&self) -> Duration {
        let rate = self.device.rate().get();
        let begun = self.in_flight.front().map(|first| self.last_done.map_or(first.at, |last| last.max(first.at)));
        let work: f64 = self.in_flight.iter().map(|submission| submission.work).sum();
        let passed = begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        Duration::try_from_secs_f64(work / rate).unwrap_or_default().saturating_sub(passed)
    }

    fn pause(&mut self) {
        // Work counts as nothing where it is not known when it ended.
        self.in_flight.iter_mut().for_each(|submission| submission.work = 0.0);
    }

    fn holds_data(&self) -> bool {
        true
    }

    fn dispatch(&mut self, dispatch: Dispatch) -> Result<()> {
        let (device, key) = (self.device.clone(), &dispatch.key);
        let pipeline = device.pipelines().get(key, || dispatch.kernel.build(&device, key))?;
        let each = dispatch.cost.work() / f64::from(dispatch.groups.max(1));
        let dispatch = Arc::new(dispatch);
        let mut first = 0;
        while first < dispatch.groups {
            let end = dispatch.groups.min(first.saturating_add(self.affordable(each)));
            // Fewer workgroups than fill the GPU take as long as those that would.
            let work = f64::from((end - first).max(device.filling())) * each;
            if self.work + work > self.most() {
                self.flush()?;
            }
            let run = Run { dispatch: dispatch.clone(), pipeline: pipeline.clone(), groups: first..end, stage: self.stage };
            self.commands.push(Command::Run(run));
            self.work += work;
            first = end;
            let is_full = self.timer.as_ref().is_some_and(|timer| self.commands.len() >= timer.most());
            if is_full || self.probe.slice > 0 {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn copy(&mut self, copy: Copy) -> Result<()> {
        self.commands.push(Command::Copy(copy));
        Ok(())
    }

    /// Through a staging buffer and a recorded copy: a direct write would overtake commands that are still to be submitted.
    fn write(&mut self, target: &BufferRef, bytes: &[u8]) -> Result<()> {
        let usage = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::MAP_WRITE;
        let what = "allocating a staging buffer";
        let buffer = self.device.checked(what, || self.mapped(what, bytes, usage))??;
        let bytes = bytes.len() as u64;
        self.copy(Copy { source: BufferRef { buffer: Some(buffer), bytes }, from: 0, target: target.clone(), to: 0, bytes })
    }

    fn stream(&mut self, target: &BufferRef, bytes: &[u8]) -> Result<()> {
        for (chunk, number) in bytes.chunks(CHUNK).zip(0..) {
            self.stage(target, number * CHUNK as u64, chunk)?;
            self.staged += chunk.len();
            if self.staged >= MOST_STAGED {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn read(&mut self, source: &BufferRef, range: Range<u64>) -> Result<Download> {
        let bytes = range.end - range.start;
        let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ;
        let descriptor = wgpu::BufferDescriptor { label: Some("download"), size: bytes.max(4), usage, mapped_at_creation: false };
        let buffer = self.device.create_buffer("allocating a read-back buffer", &descriptor)?;
        let target = BufferRef { buffer: Some(buffer.clone()), bytes };
        self.copy(Copy { source: source.clone(), from: range.start, target, to: 0, bytes })?;
        self.flush()?;
        let last = self.last.clone();
        let pending = self.device.checked("mapping a read-back buffer", || Pending::mapping(&self.device, &buffer, last))?;
        Ok(Download::new(bytes as usize, Some(pending)))
    }

    fn texture(&mut self, source: &BufferRef, from: u64, [width, height]: [u32; 2], row: u32) -> Result<Option<wgpu::Texture>> {
        let usage = wgpu::TextureUsages::COPY_DST
            | wgpu::TextureUsages::COPY_SRC
            | wgpu::TextureUsages::TEXTURE_BINDING
            | wgpu::TextureUsages::RENDER_ATTACHMENT;
        let descriptor = wgpu::TextureDescriptor {
            label: Some("frame"),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba8Unorm,
            usage,
            view_formats: &[],
        };
        let texture = self.device.checked("making a frame's texture", || self.device.wgpu_device().create_texture(&descriptor))?;
        let layout = wgpu::TexelCopyBufferLayout { offset: from, bytes_per_row: Some(row), rows_per_image: None };
        self.commands.push(Command::Texture(ToTexture { source: source.clone(), layout, texture: texture.clone() }));
        Ok(Some(texture))
    }

    fn flush(&mut self) -> Result<()> {
        if self.commands.is_empty() {
            return Ok(());
        }
        let (commands, work) = (std::mem::take(&mut self.commands), std::mem::take(&mut self.work));
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        self.staging.finish();
        self.staged = 0;
        let device = self.device.clone();
        let submitted = device.checked("running kernels", || Ok(device.submit(Some(self.encode(&commands)?))));
        let submitted = submitted.and_then(|submitted| submitted).inspect_err(|_| {
            // Whoever tries again with less memory goes on from what was recorded before.
            (self.commands, self.work) = (commands, work);
            self.timer.as_mut().map(Timer::forget);
        })?;
        self.staging.recall();
        self.last = Some(submitted.clone());
        self.in_flight.push_back(Submission { submitted, work, at: Instant::now() });
        match self.timer.is_some() {
            true => self.wait_until(0),
            false => self.wait_until(IN_FLIGHT),
        }
    }

    fn finish(&mut self) -> Result<()> {
        self.flush()?;
        self.wait_until(0)
    }
}
