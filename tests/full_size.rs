//! A transformer of full size, run for real at a small size of the video: what plans say of memory is what is measured, of the GPU's and of
//! the process's, and streamed blocks give the bits of resident ones. Its weights are small random numbers.

#[path = "common/checkpoint.rs"]
mod checkpoint;
mod common;
#[path = "common/published.rs"]
mod published;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::{anonymous_bytes, named_budget};
use wan_animate::{Device, Event, Generation, MemoryBudget, Plan, Result, VideoPipeline};

/// The process's memory at its most, looked at every few milliseconds.
struct Watch {
    most: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Watch {
    fn start() -> Self {
        let (most, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (noted, stop) = (most.clone(), over.clone());
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                noted.fetch_max(anonymous_bytes(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self { most, over, thread }
    }

    fn stop(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic");
        self.most.load(Ordering::Relaxed)
    }
}

/// What a small plan does not count of the process: kernels that the driver has compiled, and data on their way to the GPU.
const BESIDE: u64 = 128 << 20;

/// What a run made, as bits, and what it took.
#[derive(Debug)]
struct Run {
    bits: Vec<u32>,
    plan: Plan,
    gpu: u64,
    /// More than before there was a pipeline.
    process: u64,
}

/// Latents after each step and frames.
fn collect(device: &Device, before: u64, plan: Plan, generation: Generation) -> Result<Run> {
    println!("{plan}");
    device.reset_peak();
    let (watch, begun, mut bits) = (Watch::start(), Instant::now(), Vec::new());
    for event in generation {
        match event? {
            Event::Preview(latents) => bits.extend(latents.values.iter().map(|value| value.to_bits())),
            Event::Frame(frame) => bits.extend(frame.samples().iter().map(|sample| sample.to_bits())),
            Event::Stage(stage) => {
                println!("{stage} after {:.1?}, {} bytes in the process so far", begun.elapsed(), watch.most.load(Ordering::Relaxed));
            }
            _ => {}
        }
    }
    let run = Run { bits, plan, gpu: device.memory_use().peak, process: watch.stop() - before };
    println!("{:.1?}; planned {}, on the GPU {}, in the process {}\n", begun.elapsed(), run.plan.peak(), run.gpu, run.process);
    Ok(run)
}

impl Run {
    /// Under the budget and within a tenth of the plan; the process too, but for [`BESIDE`].
    fn check(&self, budget: u64) {
        let Self { gpu, process, .. } = *self;
        let planned = self.plan.peak();
        assert!(gpu <= budget && gpu.abs_diff(planned) * 10 <= planned, "{gpu} bytes on the GPU, planned {planned}, of {budget}");
        let bounds = planned - planned / 10..=planned + planned / 10 + BESIDE;
        assert!(bounds.contains(&process), "{process} bytes in the process, planned {planned}");
        assert!(self.bits.iter().any(|&bits| bits != self.bits[0]), "a result of one value");
        assert!(self.bits.iter().all(|&bits| f32::from_bits(bits).is_finite()));
    }
}

fn t2v(folder: &Path, budget: MemoryBudget) -> Result<Run> {
    let device = Device::builder().build()?;
    let before = anonymous_bytes();
    let pipeline = VideoPipeline::builder(&device).checkpoint(folder).memory_budget(budget).build()?;
    let request = pipeline.text_to_video("x").size(32, 32).num_frames(5).num_inference_steps(2).guidance_scale(1.0).previews(true);
    let plan = pipeline.plan(&request)?;
    collect(&device, before, plan, request.start()?)
}

#[test]
#[cfg(target_os = "linux")]
#[ignore = "five runs of a model of 1.3B: minutes, 4 GiB of memory and of the disk"]
fn t2v_1_3b_streamed_is_resident_bit_for_bit() {
    let folder = checkpoint::t2v_1_3b_with_numbers();
    let resident = t2v(folder.path(), MemoryBudget::default()).expect("runs");
    let everything = resident.gpu;
    resident.check(everything);
    let weights = named_budget(t2v(folder.path(), MemoryBudget::bytes(1)));
    let least = named_budget(t2v(folder.path(), MemoryBudget::bytes(weights)));
    assert_eq!(named_budget(t2v(folder.path(), MemoryBudget::bytes(least - 1))), least);
    for part in 0..=3 {
        let budget = least + (everything - least) * part / 3;
        let run = t2v(folder.path(), MemoryBudget::bytes(budget)).expect("runs");
        run.check(budget);
        assert!(run.bits == resident.bits, "other bits within {budget} bytes");
    }
}
