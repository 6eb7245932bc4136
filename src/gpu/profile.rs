//! Where the time goes: how long each dispatch took, by kernel and by stage.
//!
//! A device that was built with [`DeviceBuilder::profile`](crate::DeviceBuilder::profile) gives each dispatch a pass of its own between
//! two timestamps of the GPU. An adapter without timestamps gets each dispatch as a submission of its own, timed on the host, so
//! that small ones look longer than they are. Either way the GPU has less to overlap: a profiled run is slower.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::gpu::Device;

/// Dispatches between two submissions at most.
const DISPATCHES: u32 = 512;

/// One dispatch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// The kernel's name: an op's, and its family's where it has several.
    pub kernel: &'static str,
    /// What the generation was doing, such as `denoising`; empty outside of generations.
    pub stage: &'static str,
    /// Seconds since the first one began.
    pub start: f64,
    /// Seconds that it took.
    pub seconds: f64,
}

/// All dispatches of a device so far, in order. See [`Device::profile`].
#[derive(Debug, Default)]
pub struct Profile(Mutex<Vec<Span>>);

impl Profile {
    /// The dispatches.
    pub fn spans(&self) -> Vec<Span> {
        self.lock().clone()
    }

    /// A table for people: each kernel of each stage with its seconds, its share of all and its dispatches, the longest first.
    pub fn table(&self) -> String {
        let spans = self.lock();
        let mut rows: HashMap<_, (f64, usize)> = HashMap::new();
        for span in spans.iter() {
            let (seconds, count) = rows.entry((span.stage, span.kernel)).or_default();
            (*seconds, *count) = (*seconds + span.seconds, *count + 1);
        }
        let all: f64 = rows.values().map(|row| row.0).sum();
        let mut rows: Vec<_> = rows.into_iter().collect();
        rows.sort_by(|(_, a), (_, b)| b.0.total_cmp(&a.0));
        let mut text = format!("{:<13} {:<16} {:>10} {:>6} {:>10}\n", "stage", "kernel", "seconds", "%", "dispatches");
        for ((stage, kernel), (seconds, count)) in rows {
            let share = 100.0 * seconds / all.max(f64::MIN_POSITIVE);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{stage:<13} {kernel:<16} {seconds:>10.4} {share:>6.1} {count:>10}");
        }
        text
    }

    /// The dispatches as a trace for chrome://tracing or <https://ui.perfetto.dev>: JSON, one line a stage, times in microseconds.
    pub fn chrome_trace(&self) -> String {
        let event = |span: &Span| {
            serde_json::json!({
                "name": span.kernel,
                "cat": span.stage,
                "ph": "X",
                "ts": span.start * 1e6,
                "dur": span.seconds * 1e6,
                "pid": "GPU",
                "tid": span.stage,
            })
        };
        let events: Vec<_> = self.lock().iter().map(event).collect();
        serde_json::json!({ "traceEvents": events, "displayTimeUnit": "ms" }).to_string()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Span>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one recorder measures for its device's [`Profile`].
#[derive(Debug)]
pub(super) struct Timer {
    device: Device,
    stage: &'static str,
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
        Some(Self { device: device.clone(), stage: "", pending: Vec::new(), clock, origin: None })
    }

    pub(super) fn set_stage(&mut self, stage: &'static str) {
        self.stage = stage;
    }

    /// A pass for one dispatch of a kernel.
    pub(super) fn pass(&mut self, encoder: &mut wgpu::CommandEncoder, kernel: &'static str) -> wgpu::ComputePass<'static> {
        let first = 2 * self.pending.len() as u32;
        self.pending.push((kernel, self.stage));
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

    /// Whether what is recorded must be submitted before more is.
    pub(super) fn is_full(&self) -> bool {
        match self.clock {
            Clock::Gpu { .. } => self.pending.len() as u32 == DISPATCHES,
            Clock::Host(_) => !self.pending.is_empty(),
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
    let failed = |error: &dyn std::fmt::Display| Error::Device(format!("cannot read timestamps: {error}"));
    let bytes = ..count as u64 * 8;
    device.checked("reading timestamps", || {
        readable.map_async(wgpu::MapMode::Read, bytes, |_| ());
        device.wgpu_device().poll(wgpu::PollType::wait_indefinitely()).map_err(|error| failed(&error))?;
        let ticks = bytemuck::pod_collect_to_vec(&readable.get_mapped_range(bytes).map_err(|error| failed(&error))?);
        readable.unmap();
        Ok(ticks)
    })?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Profile {
        let span = |kernel, stage, start, seconds| Span { kernel, stage, start, seconds };
        Profile(Mutex::new(vec![
            span("matmul", "denoising", 0.0, 0.5),
            span("conv", "decoding", 0.5, 2.0),
            span("matmul", "denoising", 2.5, 1.0),
        ]))
    }

    #[test]
    fn a_table_sums_by_stage_and_kernel() {
        let table = profile().table();
        let rows: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[1], ["decoding", "conv", "2.0000", "57.1", "1"]);
        assert_eq!(rows[2], ["denoising", "matmul", "1.5000", "42.9", "2"]);
    }

    #[test]
    fn a_trace_is_json_in_microseconds() {
        let trace: serde_json::Value = serde_json::from_str(&profile().chrome_trace()).expect("JSON");
        let last = &trace["traceEvents"][2];
        assert_eq!((last["name"].as_str(), last["ts"].as_f64(), last["dur"].as_f64()), (Some("matmul"), Some(2.5e6), Some(1e6)));
    }
}
