//! What the API promises beside its results: cancelling, sharing, events, and settings that amount to others.

use std::fmt::Debug;
use std::iter::FusedIterator;
use std::sync::Arc;
use std::thread;

use crate::common::golden_path;
use image::RgbImage;
use wan_animate::video::{Audio, Effort, Frame, Frames, Motion, Scene, VideoOptions, VideoWriter};
use wan_animate::{
    AdapterSummary, AnimatePipeline, AnimateRequest, Animation, Builder, Cancel, Conversion, Device, DeviceBuilder, Error, Event, Expert,
    Family, Generation, Latents, Lora, MemoryBudget, MemoryUse, Plan, Precision, Preset, Profile, Result, Sampler, Scheduler, Shared,
    Spacing, Stage, StagePlan, State, Step, Storage, Tune, VaeTiling, Video, VideoPipeline, VideoRequest, WeightsReport,
};

fn pipeline(device: &Device) -> AnimatePipeline {
    AnimatePipeline::builder(device).checkpoint(golden_path("tiny")).precision(Precision::F32).build().expect("the golden checkpoint loads")
}

fn device() -> Device {
    Device::builder().shader_checks(true).build().expect("an adapter (`make test` installs a software one)")
}

/// Frames `range` of an input video among the goldens.
fn video(name: &str, range: std::ops::Range<usize>) -> Frames {
    let all = Frames::open(golden_path("inputs").join(name)).expect("a golden");
    Frames::from_images(range.map(|i| all.read(i).expect("a frame"))).expect("frames")
}

fn motion(range: std::ops::Range<usize>) -> Motion {
    Motion::new(video("pose", range.clone()), video("face_16", range)).expect("as many poses as faces")
}

fn reference() -> RgbImage {
    wan_animate::video::open_image(golden_path("inputs/reference.png")).expect("a golden")
}

fn small(request: AnimateRequest) -> AnimateRequest {
    request.size(48, 32).segment_frames(5).num_inference_steps(2).prompt("x")
}

/// All frames of each video.
fn videos(generation: Generation) -> Result<Vec<Vec<Vec<f32>>>> {
    let mut videos = vec![];
    for event in generation {
        match event? {
            Event::Video { .. } => videos.push(vec![]),
            Event::Frame(frame) => {
                if videos.is_empty() {
                    videos.push(vec![]);
                }
                videos.last_mut().expect("one was pushed").push(frame.samples().to_vec());
            }
            _ => {}
        }
    }
    Ok(videos)
}

fn frames(pipeline: &AnimatePipeline, motion: &Motion, change: impl Fn(AnimateRequest) -> AnimateRequest) -> Vec<Vec<f32>> {
    let generation = change(small(pipeline.animate(reference(), motion))).start().map(videos);
    generation.expect("starts").expect("runs").remove(0)
}

/// Types of the API may go to other threads and be printed, and a generation borrows nothing.
const _: () = {
    const fn send<T: Send + Debug + 'static>() {}
    const fn shared<T: Send + Sync + Debug + 'static>() {}
    const fn fused<T: FusedIterator>() {}
    fused::<Generation>();
    send::<Generation>();
    shared::<(Device, DeviceBuilder, AdapterSummary, Family, MemoryUse, Profile, Tune)>();
    shared::<(AnimatePipeline, Animation, AnimateRequest, VideoPipeline, Video, VideoRequest)>();
    shared::<(Builder<'static, AnimatePipeline>, Builder<'static, VideoPipeline>, Storage, WeightsReport, Lora, Precision)>();
    shared::<(Cancel, Error, Event, Expert, Latents, MemoryBudget, Plan, Preset, Sampler, Scheduler)>();
    shared::<(Spacing, Stage, StagePlan, State, Step, VaeTiling, Shared<RgbImage>)>();
    shared::<(Frame, Frames, Motion, Scene, VideoOptions, Audio, Effort)>();
    send::<(VideoWriter, Conversion)>();
};

/// Whatever an input is given as, and wherever the generation runs.
#[test]
fn a_generation_owns_what_it_needs() {
    let generation = |change: &dyn Fn(&AnimatePipeline) -> AnimateRequest| small(change(&pipeline(&device()))).start().expect("starts");
    let (image, moves) = (Arc::new(reference()), Arc::new(motion(0..5)));
    let borrowed = generation(&|pipeline| pipeline.animate(&*image, &*moves));
    let owned = generation(&|pipeline| pipeline.animate(reference(), motion(0..5)));
    let counted = generation(&|pipeline| pipeline.animate(image.clone(), &moves));
    let runs = [borrowed, owned, counted].map(|generation| thread::spawn(move || videos(generation)));
    let [a, b, c] = runs.map(|run| run.join().expect("no panic").expect("runs"));
    assert!(a == b && a == c && a[0].len() == 5);
}

#[test]
fn cancelling_from_another_thread_ends_a_generation() {
    let pipeline = pipeline(&device());
    let (reference, motion, cancel) = (reference(), motion(0..5), Cancel::new());
    let mut generation =
        small(pipeline.animate(&reference, &motion)).num_inference_steps(1000).cancel(cancel.clone()).start().expect("starts");
    let mut steps = 0;
    let last = loop {
        match generation.next().expect("1000 steps are not over") {
            Ok(Event::Step(_)) => {
                steps += 1;
                let cancel = cancel.clone();
                thread::spawn(move || cancel.cancel()).join().expect("sets a flag");
            }
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(last, Error::Cancelled), "{last}");
    assert_eq!(steps, 1, "no step is finished after the flag is set");
    assert!(generation.next().is_none(), "an error is the last event");
    drop(generation);
    // The pipeline is as good as before.
    assert_eq!(frames(&pipeline, &motion, |request| request).len(), 5);
}

#[test]
fn a_dropped_generation_gives_its_memory_back() {
    let device = device();
    let pipeline = pipeline(&device);
    let loaded = device.memory_use().current;
    let (reference, motion) = (reference(), motion(0..5));
    for events in [1, 3, 5, 8] {
        let generation = small(pipeline.animate(&reference, &motion)).start().expect("starts");
        generation.take(events).for_each(|event| drop(event.expect("runs")));
        assert_eq!(device.memory_use().current, loaded, "after {events} events");
    }
    drop(pipeline);
    assert_eq!(device.memory_use().current, 0);
}

#[test]
fn two_threads_share_a_device() {
    let (device, motion) = (device(), motion(0..5));
    let alone = frames(&pipeline(&device), &motion, |request| request);
    thread::scope(|scope| {
        let runs = [0, 1].map(|_| scope.spawn(|| frames(&pipeline(&device), &motion, |request| request)));
        for run in runs {
            assert!(run.join().expect("no panic") == alone, "the result depends on what else runs");
        }
    });
}

/// As a host application would open it: with defaults, and so without immediates and with small limits.
#[test]
fn a_host_applications_device_will_do() {
    let own = device();
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let adapter = adapters.into_iter().find(|adapter| adapter.get_info().name == own.adapter().name).expect("the same adapter");
    let (host, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).expect("opens");
    let shared = Device::from_wgpu(host, queue).expect("shares it");
    assert!(!shared.immediates());
    let motion = motion(0..5);
    let (a, b) = (frames(&pipeline(&own), &motion, |request| request), frames(&pipeline(&shared), &motion, |request| request));
    let most = a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // The same kernels with parameters from elsewhere: a compiler may fold some of them, no more.
    assert!(most <= 1e-4, "largest difference {most:.1e}");
}

#[test]
fn several_videos_are_runs_with_consecutive_seeds() {
    let (pipeline, motion, reference) = (pipeline(&device()), motion(0..7), reference());
    let generation = small(pipeline.animate(&reference, &motion)).seed(11).num_videos(2).start().expect("starts");
    let both = videos(generation).expect("runs");
    assert_eq!(both.len(), 2);
    for (video, seed) in both.iter().zip(11..) {
        assert!(*video == frames(&pipeline, &motion, |request| request.seed(seed)), "seed {seed}");
    }
    assert!(both[0] != both[1]);
}

#[test]
fn an_offset_is_as_good_as_a_cut() {
    let pipeline = pipeline(&device());
    let offset = frames(&pipeline, &motion(0..9), |request| request.frame_offset(3));
    let cut = frames(&pipeline, &motion(3..9), |request| request);
    assert_eq!(offset.len(), 6);
    assert!(offset == cut);
}

#[test]
fn no_face_is_a_face_of_black() {
    let pipeline = pipeline(&device());
    let black = Frames::from_images((0..5).map(|_| RgbImage::new(16, 16))).expect("frames");
    let without = Motion::new(video("pose", 0..5), None).expect("a motion");
    let with = Motion::new(video("pose", 0..5), black).expect("a motion");
    assert!(frames(&pipeline, &without, |request| request) == frames(&pipeline, &with, |request| request));
}

/// Clips shorter than a segment, than the overlap, and of one frame.
#[test]
fn short_clips_keep_their_length() {
    let pipeline = pipeline(&device());
    for (count, overlap) in [(1, 1), (2, 4), (4, 4), (5, 4), (6, 4)] {
        let made = frames(&pipeline, &motion(0..count), |request| request.overlap(overlap).num_inference_steps(1));
        assert_eq!(made.len(), count);
    }
}

#[test]
fn events_come_in_order_and_previews_on_request() {
    let (pipeline, motion, reference) = (pipeline(&device()), motion(0..6), reference());
    let generation = small(pipeline.animate(&reference, &motion)).previews(true).start().expect("starts");
    assert_eq!((generation.num_frames(), generation.num_segments(), generation.num_steps(), generation.size()), (6, 2, 2, (48, 32)));
    let mut told = Vec::new();
    for event in generation {
        match event.expect("runs") {
            Event::Stage(Stage::Encoding) => told.push("encoding".to_string()),
            Event::Stage(Stage::Conditioning { segment }) => told.push(format!("conditioning {segment}")),
            Event::Stage(Stage::Denoising { segment }) => told.push(format!("denoising {segment}")),
            Event::Stage(Stage::Decoding { segment }) => told.push(format!("decoding {segment}")),
            Event::Step(step) => told.push(format!("step {} {}", step.segment, step.step)),
            Event::Preview(latents) => {
                assert_eq!((latents.shape, latents.values.len()), ([16, 2, 4, 6], 768));
                told.push("preview".into());
            }
            Event::Frame(_) => told.push("frame".into()),
            Event::Drift(drift) => told.push(format!("drift {}", drift.segment)),
            Event::Progress(_) => {}
            other => panic!("{other:?}"),
        }
    }
    let steps = |k: usize| format!("conditioning {k}|denoising {k}|preview|step {k} 0|preview|step {k} 1|decoding {k}");
    let expected = format!("encoding|{}|frame|frame|frame|frame|frame|{}|drift 1|frame", steps(0), steps(1));
    assert_eq!(told.join("|"), expected);
}

/// The text encoder works once for each prompt of a pipeline, whatever else is asked for.
#[test]
fn a_prompt_is_encoded_once() {
    let (device, motion, reference) = (device(), motion(0..5), reference());
    let pipeline = pipeline(&device);
    let encode = |prompt: &str| {
        device.fail_allocations(0..0);
        let mut generation = small(pipeline.animate(&reference, &motion)).prompt(prompt).start().expect("starts");
        generation.find(|event| matches!(event, Ok(Event::Stage(Stage::Conditioning { .. })))).expect("encodes").expect("runs");
        device.fail_allocations(0..0)
    };
    // Kernels are tested before their first use, with buffers of their own.
    encode("a bird");
    let first = encode("a cat");
    let second = encode("a cat");
    println!("{first} allocations for a new prompt, {second} for a known one");
    assert!(second < first, "{second} allocations for a known prompt, {first} for a new one");
    assert_eq!(encode("a dog"), first);
    let known = frames(&pipeline, &motion, |request| request.prompt("a cat"));
    assert!(known == frames(&self::pipeline(&device), &motion, |request| request.prompt("a cat")));
}

#[test]
fn videos_of_one_segment_share_its_inputs() {
    let (device, motion, reference) = (device(), motion(0..5), reference());
    let pipeline = pipeline(&device);
    let generation = small(pipeline.animate(&reference, &motion)).seed(11).num_videos(2).start().expect("starts");
    let both = videos(generation).expect("runs");
    for (video, seed) in both.iter().zip(11..) {
        assert!(*video == frames(&pipeline, &motion, |request| request.seed(seed)), "seed {seed}");
    }
}
