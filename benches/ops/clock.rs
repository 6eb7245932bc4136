//! What criterion measures: seconds of the GPU by its own timestamps, and with a software driver those of the process on all processors.

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use criterion::Throughput;
use criterion::measurement::{Measurement, ValueFormatter};
use wan_animate::Device;

#[derive(Clone)]
pub enum Clock {
    /// Seconds on all processors, were the work spread evenly among them: other programs lengthen them little.
    Processor,
    /// Between two passes that the queue runs before and after the work.
    Gpu(Rc<Timestamps>),
    /// Where neither the system nor the adapter tells.
    Wall,
}

impl Clock {
    pub fn new(device: &Device) -> Self {
        if device.adapter().kind == "Cpu" {
            return if processor_seconds().is_some() { Self::Processor } else { Self::Wall };
        }
        Timestamps::new(device).map_or(Self::Wall, |timestamps| Self::Gpu(Rc::new(timestamps)))
    }

    /// Seconds of `work`, which ends when the GPU is done.
    pub fn seconds(&self, work: impl FnOnce()) -> f64 {
        let begun = self.start();
        work();
        self.end(begun)
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Processor => "processor time / processors",
            Self::Gpu(_) => "the GPU's timestamps",
            Self::Wall => "wall time",
        })
    }
}

impl Measurement for Clock {
    type Intermediate = f64;
    type Value = f64;

    fn start(&self) -> f64 {
        match self {
            Self::Processor => processor_seconds().unwrap_or_default(),
            Self::Gpu(timestamps) => timestamps.now(),
            Self::Wall => since_the_first().as_secs_f64(),
        }
    }

    fn end(&self, begun: f64) -> f64 {
        self.start() - begun
    }

    fn add(&self, a: &f64, b: &f64) -> f64 {
        a + b
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, value: &f64) -> f64 {
        *value
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        &Seconds
    }
}

fn since_the_first() -> Duration {
    thread_local!(static START: Instant = Instant::now());
    START.with(Instant::elapsed)
}

/// This process's seconds on all processors, were it spread evenly among them, if the system tells.
fn processor_seconds() -> Option<f64> {
    let spent = ProcessTime::try_now().ok()?.as_duration().as_secs_f64();
    Some(spent / std::thread::available_parallelism().map_or(1, usize::from) as f64)
}

/// A timestamp at the end of an empty pass, which the queue comes to when all before it is done.
pub struct Timestamps {
    device: wgpu::Device,
    queue: wgpu::Queue,
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    readable: wgpu::Buffer,
}

impl Timestamps {
    fn new(device: &Device) -> Option<Self> {
        let (device, queue) = (device.wgpu_device().clone(), device.wgpu_queue().clone());
        if !device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return None;
        }
        let buffer = |usage| device.create_buffer(&wgpu::BufferDescriptor { label: None, size: 8, usage, mapped_at_creation: false });
        let queries = device.create_query_set(&wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count: 1 });
        let resolved = buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
        let readable = buffer(wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ);
        Some(Self { device, queue, queries, resolved, readable })
    }

    fn now(&self) -> f64 {
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let timestamp_writes = Some(wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: None,
            end_of_pass_write_index: Some(0),
        });
        drop(encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes }));
        encoder.resolve_query_set(&self.queries, 0..1, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.readable, 0, 8);
        self.queue.submit([encoder.finish()]);
        self.readable.map_async(wgpu::MapMode::Read, .., |mapped| mapped.expect("a timestamp"));
        self.device.poll(wgpu::PollType::wait_indefinitely()).expect("the GPU");
        let mut ticks = [0; 8];
        ticks.copy_from_slice(&self.readable.get_mapped_range(..).expect("mapped"));
        self.readable.unmap();
        u64::from_le_bytes(ticks) as f64 * f64::from(self.queue.get_timestamp_period()) * 1e-9
    }
}

/// Seconds, and floating-point operations a second.
struct Seconds;

impl Seconds {
    fn scale(values: &mut [f64], typical: f64, units: [(f64, &'static str); 3]) -> &'static str {
        let (factor, unit) = units.into_iter().find(|(factor, _)| typical * factor < 1e3).unwrap_or(units[2]);
        values.iter_mut().for_each(|value| *value *= factor);
        unit
    }
}

impl ValueFormatter for Seconds {
    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        Self::scale(values, typical, [(1e6, "us"), (1e3, "ms"), (1.0, "s")])
    }

    fn scale_throughputs(&self, typical: f64, throughput: &Throughput, values: &mut [f64]) -> &'static str {
        let (Throughput::Elements(count) | Throughput::Bytes(count)) = *throughput else { return "" };
        values.iter_mut().for_each(|value| *value = count as f64 / *value);
        Self::scale(values, count as f64 / typical, [(1e-6, "MFLOP/s"), (1e-9, "GFLOP/s"), (1e-12, "TFLOP/s")])
    }

    fn scale_for_machines(&self, _: &mut [f64]) -> &'static str {
        "s"
    }
}
