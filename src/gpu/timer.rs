//! Measures the dispatches of one engine, for its device's [`Profile`](crate::gpu::Profile).

use web_time::Instant;

use crate::error::Result;
use crate::gpu::{device::Device, pending::Pending, profile::Span};

/// Dispatches between two submissions at most.
const DISPATCHES: u32 = 512;

#[derive(Debug)]
pub(super) struct Timer {
    device: Device,
    /// Dispatches since the last submission.
    pending: Vec<(&'static str, &'static str)>,
    clock: Clock,
    /// The first moment measured, in the clock's seconds.
    origin: Option<f64>,
}

#[derive(Debug)]
enum Clock {
    Gpu {
        queries: wgpu::QuerySet,
        resolved: wgpu::Buffer,
        readable: wgpu::Buffer,
        /// Seconds of one tick.
        tick: f64,
    },
    Host(Instant),
}

impl Timer {
    /// Where the device has a profile.
    pub(super) fn new(device: &Device) -> Option<Self> {
        device.profile()?;
        let gpu = device.wgpu_device();
        let buffer = |usage| {
            let size = u64::from(2 * DISPATCHES) * 8;
            gpu.create_buffer(&wgpu::BufferDescriptor { label: Some("timestamps"), size, usage, mapped_at_creation: false })
        };
        let clock = match gpu.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            true => Clock::Gpu {
                queries: gpu.create_query_set(&wgpu::QuerySetDescriptor {
                    label: Some("timestamps"),
                    ty: wgpu::QueryType::Timestamp,
                    count: 2 * DISPATCHES,
                }),
                resolved: buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
                readable: buffer(wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ),
                tick: f64::from(device.wgpu_queue().get_timestamp_period()) * 1e-9,
            },
            false => Clock::Host(Instant::now()),
        };
        Some(Self { device: device.clone(), pending: Vec::new(), clock, origin: None })
    }

    /// A pass for one dispatch of a kernel during a stage.
    pub(super) fn pass(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        kernel: &'static str,
        stage: &'static str,
    ) -> wgpu::ComputePass<'static> {
        let first = 2 * self.pending.len() as u32;
        self.pending.push((kernel, stage));
        let timestamp_writes = match &mut self.clock {
            Clock::Gpu { queries, .. } => Some(wgpu::ComputePassTimestampWrites {
                query_set: queries,
                beginning_of_pass_write_index: Some(first),
                end_of_pass_write_index: Some(first + 1),
            }),
            Clock::Host(_) => None,
        };
        encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some(kernel), timestamp_writes }).forget_lifetime()
    }

    /// What was not submitted after all is not measured.
    pub(super) fn forget(&mut self) {
        self.pending.clear();
    }

    /// Dispatches that may be submitted together.
    pub(super) fn most(&self) -> usize {
        match self.clock {
            Clock::Gpu { .. } => DISPATCHES as usize,
            Clock::Host(_) => 1,
        }
    }

    /// Goes before the end of a command buffer.
    pub(super) fn resolve(&mut self, encoder: &mut wgpu::CommandEncoder) {
        match &mut self.clock {
            Clock::Gpu { queries, resolved, readable, .. } if !self.pending.is_empty() => {
                let count = 2 * self.pending.len() as u32;
                encoder.resolve_query_set(queries, 0..count, resolved, 0);
                encoder.copy_buffer_to_buffer(resolved, 0, readable, 0, u64::from(count) * 8);
            }
            Clock::Gpu { .. } => {}
            Clock::Host(begun) => *begun = Instant::now(),
        }
    }

    /// Goes after the end of a submission on the GPU.
    pub(super) fn collect(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let Some(profile) = self.device.profile().filter(|_| !pending.is_empty()) else { return Ok(()) };
        let times: Vec<(f64, f64)> = match &self.clock {
            Clock::Gpu { readable, tick, .. } => {
                let ticks = read_ticks(&self.device, readable, 2 * pending.len())?;
                ticks.chunks_exact(2).map(|pair| (pair[0] as f64 * tick, pair[1].saturating_sub(pair[0]) as f64 * tick)).collect()
            }
            Clock::Host(begun) => {
                let start = profile.lock().last().map_or(0.0, |span| span.start + span.seconds);
                vec![(start, begun.elapsed().as_secs_f64())]
            }
        };
        let origin = *self.origin.get_or_insert(times[0].0);
        let spans = pending.into_iter().zip(times);
        profile.lock().extend(spans.map(|((kernel, stage), (start, seconds))| Span { kernel, stage, start: start - origin, seconds }));
        Ok(())
    }
}

fn read_ticks(device: &Device, readable: &wgpu::Buffer, count: usize) -> Result<Vec<u64>> {
    let pending = device.checked("reading timestamps", || Pending::mapping(device, readable, None))?;
    pending.wait(|bytes| bytemuck::pod_collect_to_vec(&bytes[..8 * count]))
}
