//! A guest in somebody's application: taking turns, progress, cancelling while it loads, frames that stay on the GPU, and what goes to the log.

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::golden_path;
use image::{RgbImage, RgbaImage};
use wan_animate::unversioned::dtype::DType;
use wan_animate::unversioned::gpu::{Probe, Recorder};
use wan_animate::unversioned::ops::{attention::Heads, attention::attention};
use wan_animate::video::{Frames, Motion};
use wan_animate::{
    AnimatePipeline, AnimateRequest, Cancel, Device, DeviceBuilder, Error, Event, Generation, GpuFrame, MemoryBudget, Precision, Progress,
    Result, Stage, VaeTiling, WhenBusy,
};

fn device() -> Device {
    Device::builder().shader_checks(true).build().expect("an adapter (`make test` installs a software one)")
}

fn pipeline(device: &Device) -> AnimatePipeline {
    AnimatePipeline::builder(device).checkpoint(golden_path("tiny")).precision(Precision::F32).build().expect("the golden checkpoint loads")
}

/// Six frames in two segments.
fn request(pipeline: &AnimatePipeline) -> AnimateRequest {
    let image = |i: usize| RgbImage::from_fn(48, 32, |x, y| image::Rgb([(x * 5) as u8, (y * 7) as u8, (i * 31) as u8]));
    let video = || Frames::from_images((0..6).map(image)).expect("frames");
    let motion = Motion::new(video(), video()).expect("as many poses as faces");
    pipeline.animate(image(9), motion).segment_frames(5).num_inference_steps(2).prompt("x")
}

fn frames(generation: Generation) -> Result<Vec<RgbaImage>> {
    let frame = |event: Result<Event>| match event {
        Ok(Event::Frame(frame)) => Some(Ok(frame.to_rgba8())),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    };
    generation.filter_map(frame).collect()
}

/// A generation that is at work.
fn begun(pipeline: &AnimatePipeline) -> Generation {
    let mut generation = request(pipeline).start().expect("starts");
    generation.find(|event| matches!(event, Ok(Event::Step(_)))).expect("a step").expect("runs");
    generation
}

/// In an application's worker thread, which owns all it needs. Neither knows of the other.
#[test]
fn two_at_once_take_turns() {
    let alone = device();
    let pipeline_alone = pipeline(&alone);
    let plan = request(&pipeline_alone).plan().expect("a plan");
    let wanted = frames(request(&pipeline_alone).start().expect("starts")).expect("runs");
    // With room for one of them.
    let device = Device::builder().shader_checks(true).memory_limit(plan.peak() * 5 / 4).build().expect("an adapter");
    let pipeline = pipeline(&device);
    let workers = [0; 3].map(|_| {
        let pipeline = pipeline.clone();
        thread::spawn(move || frames(request(&pipeline).start()?))
    });
    for worker in workers {
        assert!(worker.join().expect("no panic").expect("neither is refused because of the other") == wanted);
    }
}

#[test]
fn a_busy_device_is_told_of_or_shared() {
    let device = device();
    let pipeline = pipeline(&device);
    let first = begun(&pipeline);
    let elsewhere = |change: fn(AnimateRequest) -> AnimateRequest| {
        thread::scope(|scope| scope.spawn(|| frames(change(request(&pipeline)).start()?)).join().expect("no panic"))
    };
    assert!(matches!(elsewhere(|request| request.when_busy(WhenBusy::Fail)), Err(Error::Busy)));
    assert_eq!(elsewhere(|request| request.when_busy(WhenBusy::Share)).expect("beside the first").len(), 6);
    drop(first);
    assert_eq!(elsewhere(|request| request.when_busy(WhenBusy::Fail)).expect("nobody is there").len(), 6);
}

#[test]
fn who_shares_waits_where_there_is_no_room_for_both() {
    let peak = request(&pipeline(&device())).plan().expect("a plan").peak();
    let device = Device::builder().shader_checks(true).memory_limit(peak * 5 / 4).build().expect("an adapter");
    let pipeline = pipeline(&device);
    let _first = begun(&pipeline);
    let crowded = thread::scope(|scope| {
        let cancel = Cancel::new();
        let later = cancel.clone();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(100));
            later.cancel();
        });
        let shared = || frames(request(&pipeline).when_busy(WhenBusy::Share).cancel(cancel).start()?);
        scope.spawn(shared).join().expect("no panic")
    });
    assert!(matches!(crowded, Err(Error::Cancelled)), "{crowded:?}");
}

#[test]
fn who_is_dropped_or_over_leaves_the_device_at_once() {
    let device = device();
    let pipeline = pipeline(&device);
    let loaded = device.memory_use().current;
    let abandoned = begun(&pipeline);
    let next = thread::spawn({
        let pipeline = pipeline.clone();
        move || {
            let mut generation = request(&pipeline).start().expect("starts");
            let first = generation.find(|event| matches!(event, Ok(Event::Progress(_)))).expect("an event").map(drop);
            (first, Instant::now())
        }
    });
    thread::sleep(Duration::from_millis(300));
    let dropped = Instant::now();
    drop(abandoned);
    let gone = dropped.elapsed();
    let (first, at) = next.join().expect("no panic");
    first.expect("its turn came");
    println!("dropped in {gone:?}, the next one's first piece after {:?}", at - dropped);
    assert!(at > dropped && gone <= Duration::from_millis(50), "it took {gone:?}");
    let mut over = request(&pipeline).start().expect("starts");
    assert!(over.by_ref().all(|event| event.is_ok()));
    assert_eq!(device.memory_use().current, loaded, "what is over has nothing on the GPU");
    assert_eq!(frames(request(&pipeline).when_busy(WhenBusy::Fail).start().expect("starts")).expect("nobody is at work").len(), 6);
}

#[test]
fn loading_tells_its_bytes_and_is_cancelled() {
    let device = device();
    let told = Arc::new(Mutex::new(Vec::new()));
    let note = told.clone();
    let builder = || AnimatePipeline::builder(&device).checkpoint(golden_path("tiny")).precision(Precision::F32);
    let pipeline = builder().on_progress(move |loading| note.lock().expect("no panic").push((loading.loaded, loading.total))).build();
    let pipeline = pipeline.expect("loads");
    let told = std::mem::take(&mut *told.lock().expect("no panic"));
    assert!(told.len() > 10 && told.is_sorted(), "{} messages", told.len());
    let (loaded, total) = *told.last().expect("messages");
    assert_eq!(loaded, total);
    assert!(total > device.memory_use().current / 2, "{total} of {} bytes", device.memory_use().current);
    drop(pipeline);

    let (cancel, at) = (Cancel::new(), Arc::new(Mutex::new(None)));
    let (flag, set, seen) = (cancel.clone(), at.clone(), AtomicU64::new(0));
    let halfway = move |loading: wan_animate::Loading| {
        seen.fetch_max(loading.loaded, Ordering::Relaxed);
        if 2 * loading.loaded > loading.total {
            set.lock().expect("no panic").get_or_insert_with(Instant::now);
            flag.cancel();
        }
    };
    let error = builder().on_progress(halfway).cancel(cancel).build().expect_err("cancelled");
    let waited = at.lock().expect("no panic").expect("it was halfway").elapsed();
    println!("stopped {waited:?} after the flag was set");
    assert!(matches!(error, Error::Cancelled), "{error}");
    assert!(waited <= Duration::from_millis(100), "stopped {waited:?} after the flag was set");
    assert_eq!(device.memory_use().current, 0, "nothing stays behind");
}

#[test]
fn every_stage_tells_how_far_it_is_and_what_is_left() {
    let device = device();
    let mut pieces = Vec::new();
    let mut last_step = Duration::MAX;
    for event in request(&pipeline(&device)).start().expect("starts") {
        match event.expect("runs") {
            Event::Progress(Progress { stage, done, total, remaining, .. }) => {
                let is_early = matches!(stage, Stage::Encoding | Stage::Conditioning { segment: 0 });
                assert_eq!(remaining.is_none(), is_early, "{stage}");
                pieces.push((stage, done, total, remaining));
            }
            Event::Step(step) => last_step = step.remaining,
            _ => {}
        }
    }
    let of = |wanted: Stage| pieces.iter().filter(move |piece| piece.0 == wanted).map(|piece| (piece.1, piece.2)).collect::<Vec<_>>();
    let all = |count| (1..=count).map(|done| (done, count)).collect::<Vec<_>>();
    assert_eq!(of(Stage::Encoding), all(3));
    for segment in 0..2 {
        let conditioning = of(Stage::Conditioning { segment });
        assert!(conditioning.len() >= 5 && conditioning == all(conditioning.len()), "{conditioning:?}");
        assert_eq!(of(Stage::Decoding { segment }), all(2));
    }
    assert!(last_step > Duration::ZERO, "decoding is left after the last step");
    assert_eq!(pieces.last().and_then(|piece| piece.3), Some(Duration::ZERO));
}

/// The bytes of a frame's texture, by way of a buffer.
fn read(device: &Device, frame: &GpuFrame) -> Vec<u8> {
    let (gpu, queue) = (device.wgpu_device(), device.wgpu_queue());
    let row = (4 * frame.width()).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
    let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ;
    let size = u64::from(row * frame.height());
    let buffer = gpu.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false });
    let mut encoder = gpu.create_command_encoder(&Default::default());
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(row), rows_per_image: None };
    let target = wgpu::TexelCopyBufferInfo { buffer: &buffer, layout };
    encoder.copy_texture_to_buffer(frame.texture().as_image_copy(), target, frame.texture().size());
    queue.submit([encoder.finish()]);
    buffer.map_async(wgpu::MapMode::Read, .., |result| result.expect("maps"));
    gpu.poll(wgpu::PollType::wait_indefinitely()).expect("the device is there");
    let view = buffer.get_mapped_range(..).expect("mapped");
    view.chunks(row as usize).flat_map(|line| line[..4 * frame.width() as usize].to_vec()).collect()
}

#[test]
fn textures_are_the_frames() {
    let device = device();
    let pipeline = pipeline(&device);
    let wanted = frames(request(&pipeline).start().expect("starts")).expect("runs");
    for tiling in [VaeTiling::Auto, VaeTiling::Pixels(64)] {
        let loaded = device.memory_use().current;
        let planned = request(&pipeline).vae_tiling(tiling).textures(true).plan().expect("a plan").peak();
        device.reset_peak();
        let mut made = Vec::new();
        for event in request(&pipeline).vae_tiling(tiling).textures(true).start().expect("starts") {
            match event.expect("runs") {
                Event::Texture(frame) => made.push(read(&device, &frame)),
                Event::Frame(_) => panic!("a frame on the host"),
                _ => {}
            }
        }
        assert_eq!(made.len(), 6);
        assert!(made.iter().zip(&wanted).all(|(made, wanted)| made == wanted.as_raw()));
        assert_eq!(device.memory_use().peak, planned, "{tiling:?}");
        assert_eq!(device.memory_use().current, loaded);
    }
}

/// The middle submission of a heavy op, in seconds.
fn middle(device: &Device) -> f64 {
    let mut rec = Recorder::new(device, Cancel::new()).with_probe(Probe { timed: true, ..Probe::default() });
    for _ in 0..3 {
        let x = rec.upload(&[3072, 64], &vec![0.1; 3072 * 64]).expect("uploads");
        attention(&mut rec, &x, &x, &x, Heads::scaled(1, 64), DType::F32).expect("runs");
        rec.finish().expect("runs");
    }
    let mut times = rec.submissions().to_vec();
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

#[test]
fn submissions_are_as_short_as_was_asked_for() {
    let short = Device::builder().submission_time(DeviceBuilder::SUBMISSION_AT_60_HZ).build().expect("an adapter");
    let (short, default) = (middle(&short), middle(&Device::builder().build().expect("an adapter")));
    println!("the middle submission takes {short:.4} s, by default {default:.4} s");
    assert!(short < default / 2.0, "{short} s, by default {default} s");
}

#[test]
fn an_automatic_budget_needs_a_size() {
    let own = device();
    let shared = Device::from_wgpu(own.wgpu_device().clone(), own.wgpu_queue().clone()).expect("shares it");
    assert_eq!(shared.memory_size(), None);
    let build = |device: &Device| {
        AnimatePipeline::builder(device).checkpoint(golden_path("tiny")).memory_budget(MemoryBudget::auto()).build().map(drop)
    };
    let error = build(&shared).expect_err("refused");
    assert!(matches!(&error, Error::Input(message) if message.contains("how much memory")), "{error}");
    assert!(own.memory_size().is_none() || build(&own).is_ok());
}

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        metadata.level() <= log::Level::Info && metadata.target().starts_with("wan_animate")
    }

    fn log(&self, record: &log::Record) {
        if self.enabled(record.metadata()) {
            LINES.lock().expect("no panic").push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

#[test]
fn the_log_tells_the_story() {
    log::set_logger(&Lines).map(|()| log::set_max_level(log::LevelFilter::Info)).expect("nobody else logs");
    let device = device();
    frames(request(&pipeline(&device)).start().expect("starts")).expect("runs");
    let lines = LINES.lock().expect("no panic").join("\n");
    println!("{lines}");
    let adapter = &device.adapter().name;
    for part in [
        adapter,
        "loaded ",
        "GiB at the peak, no budget",
        "conditioning segment 1",
        "denoising segment 2",
        "decoding segment 2",
        "all frames are made",
    ] {
        assert!(lines.contains(part), "no line has `{part}`:\n{lines}");
    }
}
