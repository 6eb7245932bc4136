//! Transformers of full size, run for real at a small size of the video, and a small one at a full size of the video: what plans say of memory
//! is what is measured, of the GPU's and of the process's, and streamed blocks and tiled frames give the bits of resident and whole ones.
//! Weights of full size are small random numbers.
//!
//! Each run has a process of its own, since what one run has freed may stay with its process.

#[path = "common/checkpoint.rs"]
mod checkpoint;
mod common;
#[path = "common/published.rs"]
mod published;

use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use checkpoint::Stored;
use common::{anonymous_bytes, golden_path, named_budget};
use image::RgbImage;
use serde::{Deserialize, Serialize};
use wan_animate::video::{Frames, Motion};
use wan_animate::{AnimatePipeline, Device, Event, Generation, MemoryBudget, Plan, Result, VideoPipeline};

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

/// What a run made and what it took.
#[derive(Debug, Serialize, Deserialize)]
struct Run {
    /// Of the bits of all latents and frames.
    digest: u64,
    planned: u64,
    /// Of frames on the host.
    planned_host: u64,
    gpu: u64,
    /// Of the process, more than before there was a pipeline.
    process: u64,
    /// What the driver gave for the GPU at the end, and what buffers took of it.
    reserved: u64,
    held: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Model {
    TextToVideo,
    Animate,
}

/// A video to make.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Case {
    model: Model,
    checkpoint: PathBuf,
    /// Pixels.
    size: (u32, u32),
    frames: usize,
}

/// What a process is to do: a case, bytes of a budget if there is one, and the file for the [`Run`].
type Order = (Case, Option<u64>, PathBuf);

/// An [`Order`] for [`child`].
const ORDER: &str = "WAN_ANIMATE_TEST_ORDER";

impl Case {
    /// Plans it, and makes it where it `runs`.
    fn plan(&self, budget: Option<u64>, runs: bool) -> Result<(Plan, Option<Run>)> {
        // Checked shaders are those of the other tests, and an order of magnitude slower on a software driver.
        let device = Device::builder().shader_checks(false).build()?;
        let before = anonymous_bytes();
        let budget = budget.map_or_else(MemoryBudget::default, MemoryBudget::bytes);
        let run = |plan, generation: Option<Generation>| {
            let run = generation.map(|generation| collect(&device, before, &plan, generation)).transpose()?;
            Ok((plan, run))
        };
        let (checkpoint, (width, height), frames) = (&self.checkpoint, self.size, self.frames);
        match self.model {
            Model::TextToVideo => {
                let pipeline = VideoPipeline::builder(&device).checkpoint(checkpoint).memory_budget(budget).build()?;
                let request = pipeline.text_to_video("x").size(width, height).num_frames(frames);
                let request = request.num_inference_steps(2).guidance_scale(1.0).previews(true);
                run(pipeline.plan(&request)?, if runs { Some(request.start()?) } else { None })
            }
            Model::Animate => {
                let pipeline = AnimatePipeline::builder(&device).checkpoint(checkpoint).memory_budget(budget).build()?;
                let image = |i: usize| RgbImage::from_fn(32, 32, |x, y| [x as u8 * 7, y as u8 * 5, i as u8 * 3].into());
                let video = || Frames::from_images((0..frames).map(image));
                let (reference, motion) = (image(80), Motion::new(video()?, video()?)?);
                let request = pipeline.animate(&reference, &motion).size(width, height).segment_frames(frames);
                let request = request.num_inference_steps(1).prompt("x").previews(true);
                run(pipeline.plan(&request)?, if runs { Some(request.start()?) } else { None })
            }
        }
    }

    /// A small video by a small checkpoint of the kind, which takes the same kernels.
    fn small(&self) -> Self {
        let checkpoint = match self.model {
            Model::TextToVideo => golden_path("family/t2v"),
            Model::Animate => golden_path("tiny"),
        };
        let (width, height) = self.size;
        Self { model: self.model, checkpoint, size: (width.min(320), height.min(192)), frames: 5 }
    }

    /// Makes it, in a process of its own.
    fn run(&self, budget: Option<u64>) -> Run {
        let folder = tempfile::tempdir().expect("a folder");
        let to = folder.path().join("run.json");
        let order: Order = (self.clone(), budget, to.clone());
        let mut child = Command::new(std::env::current_exe().expect("this test"));
        child.args(["--ignored", "--exact", "--nocapture", "child"]).env(ORDER, serde_json::to_string(&order).expect("JSON"));
        // What is freed goes back to the system, where glibc would keep some of it.
        child.env("MALLOC_MMAP_THRESHOLD_", "1048576");
        assert!(child.status().expect("starts").success(), "{order:?}");
        serde_json::from_reader(File::open(to).expect("a run")).expect("a run")
    }

    /// The budget that a refusal names.
    fn refused(&self, budget: u64) -> u64 {
        named_budget(self.plan(Some(budget), false))
    }
}

/// Not a test: a run of the tests below.
#[test]
#[ignore = "started by the other tests"]
fn child() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let (case, budget, to): Order = serde_json::from_str(&order).expect("an order");
    let (_, run) = case.plan(budget, true).expect("runs");
    serde_json::to_writer(File::create(to).expect("a file"), &run.expect("a run")).expect("written");
}

/// Runs it to the end.
fn collect(device: &Device, before: u64, plan: &Plan, generation: Generation) -> Result<Run> {
    println!("{plan}");
    device.reset_peak();
    let (watch, begun, mut digest) = (Watch::start(), Instant::now(), DefaultHasher::new());
    let mut look_at = |values: &[f32]| {
        assert!(values.iter().all(|value| value.is_finite()), "values that are not finite");
        assert!(values.iter().any(|value| *value != values[0]), "a result of one value");
        values.iter().for_each(|value| digest.write_u32(value.to_bits()));
    };
    for event in generation {
        match event? {
            Event::Preview(latents) => look_at(&latents.values),
            Event::Frame(frame) => look_at(frame.samples()),
            Event::Stage(stage) => {
                let most = watch.most.load(Ordering::Relaxed).saturating_sub(before);
                println!("{stage} after {:.1?}; {most} bytes in the process so far", begun.elapsed());
            }
            _ => {}
        }
    }
    let report = device.wgpu_device().generate_allocator_report().expect("Vulkan's allocator tells");
    let run = Run {
        digest: digest.finish(),
        planned: plan.peak(),
        planned_host: plan.host(),
        gpu: device.memory_use().peak,
        process: watch.stop() - before,
        reserved: report.total_reserved_bytes,
        held: report.total_allocated_bytes,
    };
    println!("{:.1?}; {run:?}\n", begun.elapsed());
    Ok(run)
}

impl Run {
    /// Under the budget and within a tenth of the plan, but for what a small model of the kind takes `beside` its plan.
    fn check(&self, budget: u64, beside: u64) {
        let Self { planned, planned_host, gpu, process, reserved, held, .. } = *self;
        assert!(gpu <= budget && gpu.abs_diff(planned) * 10 <= planned, "{gpu} bytes on the GPU, planned {planned}, of {budget}");
        // With a driver of software the GPU's memory is the process's.
        let (used, expected) = (process - beside, planned + planned_host);
        assert!(used.abs_diff(expected) * 10 <= expected, "{process} bytes in the process, {beside} of them beside the plan's {expected}");
        assert!((reserved - held) * 10 <= planned, "{reserved} bytes of the GPU for {held}");
    }
}

/// Without a budget and with some, each so many hundredths of the way from the smallest one to everything.
fn keeps_budgets(case: &Case, budgets: &[u64]) {
    // The driver's compiled kernels above all, since it is one of software.
    let small = case.small().run(None);
    let beside = small.process - small.planned - small.planned_host;
    let resident = case.run(None);
    let everything = resident.gpu;
    resident.check(everything, beside);
    let least = case.refused(case.refused(1));
    assert_eq!(case.refused(least - 1), least);
    for part in budgets {
        let budget = least + (everything - least) * part / 100;
        let run = case.run(Some(budget));
        run.check(budget, beside);
        assert!(run.digest == resident.digest, "other bits within {budget} bytes");
    }
}

#[test]
#[cfg(target_os = "linux")]
#[ignore = "two minutes, 4 GiB of memory and of the disk"]
fn text_to_video_1_3b_streamed_is_resident_bit_for_bit() {
    let folder = checkpoint::t2v_1_3b_with_numbers();
    let case = Case { model: Model::TextToVideo, checkpoint: folder.path().into(), size: (32, 32), frames: 5 };
    keeps_budgets(&case, &[0, 33, 67, 100]);
}

#[test]
#[cfg(target_os = "linux")]
#[ignore = "a quarter of an hour, 12 GiB of memory"]
fn animate_14b_streamed_is_resident_bit_for_bit() {
    let folder = checkpoint::animate_with_numbers(Stored::Q4);
    let case = Case { model: Model::Animate, checkpoint: folder.path().into(), size: (32, 32), frames: 5 };
    keeps_budgets(&case, &[0, 50, 100]);
}

#[test]
#[cfg(target_os = "linux")]
#[ignore = "minutes"]
fn animate_720p_tiled_is_whole_bit_for_bit() {
    keeps_budgets(&Case { model: Model::Animate, checkpoint: golden_path("tiny"), size: (1280, 720), frames: 13 }, &[60]);
}
