//! Runs that are cut off, by their user, by a lost GPU or for want of memory, and gone on with: the frames are those of a run that was not.

mod common;

use std::ops::Range;
use std::path::Path;

use common::{golden_path, named_budget};
use image::RgbImage;
use wan_animate::unversioned::gpu::Recorder;
use wan_animate::unversioned::ops::lincomb::add;
use wan_animate::video::{Frames, Motion, open_image};
use wan_animate::{
    AnimatePipeline, AnimateRequest, Cancel, Device, Error, Event, Generation, Precision, Result, Scheduler, State, VaeTiling,
    VideoPipeline, VideoRequest,
};

/// Frames, each its samples.
type Video = Vec<Vec<f32>>;

fn device() -> Device {
    Device::builder().shader_checks(true).build().expect("an adapter (`make test` installs a software one)")
}

/// Something to generate on a device of one's own.
trait Subject {
    type Pipeline;
    fn load(&self, device: &Device) -> Result<Self::Pipeline>;
    fn start(&self, pipeline: &Self::Pipeline, state: Option<State>) -> Result<Generation>;

    fn whole(&self) -> Video {
        let pipeline = self.load(&device()).expect("loads");
        collect(self.start(&pipeline, None).expect("starts")).1.expect("runs")
    }
}

/// Animate over three segments.
struct Dance {
    reference: RgbImage,
    motion: Motion,
}

impl Dance {
    fn new() -> Self {
        let video = |name: &str| {
            let all = Frames::open(golden_path("inputs").join(name)).expect("a golden");
            Frames::from_images((0..11).map(|i| all.read(i).expect("a frame"))).expect("frames")
        };
        let reference = open_image(golden_path("inputs/reference.png")).expect("a golden");
        Self { reference, motion: Motion::new(video("pose"), video("face_16")).expect("as many poses as faces") }
    }

    fn request(&self, pipeline: &AnimatePipeline) -> AnimateRequest {
        let request = pipeline.animate(&self.reference, &self.motion).size(32, 32).segment_frames(5).prompt("x");
        request.scheduler(Scheduler::UniPc).num_inference_steps(3).seed(3)
    }
}

impl Subject for Dance {
    type Pipeline = AnimatePipeline;

    fn load(&self, device: &Device) -> Result<AnimatePipeline> {
        AnimatePipeline::builder(device).checkpoint(golden_path("tiny")).precision(Precision::F32).build()
    }

    fn start(&self, pipeline: &AnimatePipeline, state: Option<State>) -> Result<Generation> {
        with(self.request(pipeline), state, |request, state| request.resume(state)).start()
    }
}

/// Text to two videos with two experts.
struct Story(Scheduler);

impl Story {
    fn request(&self, pipeline: &VideoPipeline) -> VideoRequest {
        let request = pipeline.text_to_video("a cat").size(32, 32).num_frames(5).num_videos(2);
        request.scheduler(self.0).num_inference_steps(4).guidance_scale(1.0).seed(3)
    }
}

impl Subject for Story {
    type Pipeline = VideoPipeline;

    fn load(&self, device: &Device) -> Result<VideoPipeline> {
        VideoPipeline::builder(device).checkpoint(golden_path("family/t2v")).precision(Precision::F32).build()
    }

    fn start(&self, pipeline: &VideoPipeline, state: Option<State>) -> Result<Generation> {
        with(self.request(pipeline), state, |request, state| request.resume(state)).start()
    }
}

fn with<R>(request: R, state: Option<State>, resume: impl FnOnce(R, State) -> R) -> R {
    match state {
        Some(state) => resume(request, state),
        None => request,
    }
}

/// What is left of a generation, and its state in the end.
fn collect(mut generation: Generation) -> (State, Result<Video>) {
    let mut frames = Vec::new();
    let end = generation.try_for_each_event(|event| {
        if let Event::Frame(frame) = event {
            frames.push(frame.samples().to_vec());
        }
    });
    (generation.state(), end.map(|()| frames))
}

trait Events {
    fn try_for_each_event(&mut self, f: impl FnMut(Event)) -> Result<()>;
}

impl Events for Generation {
    fn try_for_each_event(&mut self, mut f: impl FnMut(Event)) -> Result<()> {
        self.by_ref().try_for_each(|event| event.map(&mut f))
    }
}

fn through_a_file(state: &State, folder: &Path) -> State {
    let file = folder.join("state");
    state.save(&file).expect("saves");
    State::open(&file).expect("opens")
}

/// Stops after so many events, saves, goes on from the file, until nothing is left.
fn in_pieces(subject: &impl Subject, events: usize) -> Video {
    let folder = tempfile::tempdir().expect("a folder");
    let pipeline = subject.load(&device()).expect("loads");
    let (mut frames, mut state) = (Vec::new(), None);
    loop {
        let mut generation = subject.start(&pipeline, state.take()).expect("starts");
        let mut left = 0;
        // Encoding and conditioning come again with every piece, so a piece counts from its first step or frame.
        for event in generation.by_ref() {
            match event.expect("runs") {
                Event::Frame(frame) => frames.push(frame.samples().to_vec()),
                Event::Step(_) => {}
                _ => continue,
            }
            left += 1;
            if left == events {
                break;
            }
        }
        if left < events {
            return frames;
        }
        state = Some(through_a_file(&generation.state(), folder.path()));
        assert_eq!(state.as_ref().map(State::frames), Some(frames.len()));
    }
}

#[test]
fn pieces_of_a_dance_make_the_whole() {
    let subject = Dance::new();
    let whole = subject.whole();
    assert_eq!(whole.len(), 11);
    for events in [1, 4] {
        assert!(in_pieces(&subject, events) == whole, "pieces of {events}");
    }
}

#[test]
fn pieces_of_stories_make_the_whole() {
    for scheduler in [Scheduler::DpmPp3M, Scheduler::DpmPpSde] {
        let subject = Story(scheduler);
        let whole = subject.whole();
        assert_eq!(whole.len(), 10);
        for events in [1, 5] {
            assert!(in_pieces(&subject, events) == whole, "{scheduler:?} in pieces of {events}");
        }
    }
}

#[test]
fn frames_of_the_segment_can_be_had_again() {
    let subject = Dance::new();
    let whole = subject.whole();
    let pipeline = subject.load(&device()).expect("loads");
    let mut generation = subject.start(&pipeline, None).expect("starts");
    let state =
        generation.find_map(|event| matches!(event, Ok(Event::Frame(_))).then_some(())).map(|()| generation.state()).expect("a frame");
    assert_eq!(state.frames(), 1);
    for frames in 0..=5 {
        let (_, rest) = collect(subject.start(&pipeline, Some(state.clone().with_frames(frames))).expect("starts"));
        assert!(rest.expect("runs") == whole[frames..], "from {frames} on");
    }
    let refused = subject.start(&pipeline, Some(state.with_frames(6))).err();
    assert!(matches!(&refused, Some(Error::Input(message)) if message.contains("0 to 5")), "{refused:?}");
}

#[test]
fn a_state_of_another_generation_is_refused_by_name() {
    let subject = Dance::new();
    let pipeline = subject.load(&device()).expect("loads");
    let state = subject.start(&pipeline, None).expect("starts").state();
    let request = || subject.request(&pipeline).resume(state.clone());
    let other_reference = RgbImage::new(8, 8);
    let changed = [
        ("seed", request().seed(4).start()),
        ("size", request().size(48, 32).start()),
        ("schedule", request().shift(2.0).start()),
        ("schedule", request().scheduler(Scheduler::Euler).start()),
        ("steps", request().num_inference_steps(4).start()),
        ("prompts", request().prompt("y").start()),
        ("guidance scale", request().guidance_scale(2.0).start()),
        ("overlap", request().overlap(2).start()),
        ("number of videos", request().num_videos(2).start()),
        ("reference", pipeline.animate(&other_reference, &subject.motion).size(32, 32).resume(state.clone()).start()),
    ];
    for (name, result) in changed {
        let error = result.expect_err(name);
        assert!(matches!(&error, Error::Input(message) if message.contains(&format!("{name} was `"))), "{name}: {error}");
    }
    let half = AnimatePipeline::builder(&device()).checkpoint(golden_path("tiny")).precision(Precision::F16).build().expect("loads");
    let error = subject.start(&half, Some(state.clone())).expect_err("another precision");
    assert!(error.to_string().contains("precision was `F32` and is `F16`"), "{error}");
    let story = Story(Scheduler::Euler);
    let pipeline = story.load(&device()).expect("loads");
    let error = story.start(&pipeline, Some(state)).expect_err("another checkpoint");
    assert!(error.to_string().contains("checkpoint was"), "{error}");
}

#[test]
fn damaged_states_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("state");
    let subject = Dance::new();
    let pipeline = subject.load(&device()).expect("loads");
    let mut generation = subject.start(&pipeline, None).expect("starts");
    generation.find(|event| matches!(event, Ok(Event::Step(_)))).expect("a step").expect("runs");
    generation.state().save(&file).expect("saves");
    let whole = std::fs::read(&file).expect("a file");
    assert!(State::open(&file).is_ok());
    for length in [0, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&file, &whole[..length]).expect("written");
        assert!(matches!(State::open(&file), Err(Error::Input(_))), "{length} bytes");
    }
    let header = u64::from_le_bytes(*whole.first_chunk().expect("8 bytes")) as usize;
    let mut not_finite = whole.clone();
    not_finite[8 + header..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    let other_format = String::from_utf8_lossy(&whole[8..8 + header]).replace("_state\":\"2\"", "_state\":\"1\"");
    let other_format = [&whole[..8], other_format.as_bytes(), &whole[8 + header..]].concat();
    for (bytes, words) in [(not_finite, "damaged"), (other_format, "format 1"), (b"{}".repeat(9), "not a saved state")] {
        std::fs::write(&file, bytes).expect("written");
        let error = State::open(&file).expect_err(words);
        assert!(matches!(&error, Error::Input(message) if message.contains(words)), "{error}");
    }
    let checkpoint = golden_path("tiny/vae/diffusion_pytorch_model.safetensors");
    assert!(matches!(State::open(checkpoint), Err(Error::Input(_))));
    assert!(matches!(State::open(folder.path().join("none")), Err(Error::Io { .. })));
}

/// Makes allocations of these numbers fail, goes on as often as needed once they do not, and compares.
fn survive<S: Subject>(subject: &S, device: &Device, pipeline: &S::Pipeline, failing: Range<u64>, whole: &Video) {
    device.fail_allocations(failing.clone());
    let (state, end) = collect(subject.start(pipeline, None).expect("starts"));
    let left = device.fail_allocations(0..0);
    let made = match end {
        Ok(frames) => frames,
        Err(error) => {
            assert!(matches!(error, Error::Limits { .. }), "allocations {failing:?} of {left}: {error}");
            let (_, rest) = collect(subject.start(pipeline, Some(state.clone())).expect("starts"));
            [&whole[..state.frames()], &rest.expect("runs")].concat()
        }
    };
    assert!(made == *whole, "allocations {failing:?}");
}

/// One allocation in `each`, alone and with the next one, which is the second try.
fn survive_allocations(subject: &impl Subject, device: &Device, each: usize) {
    let whole = subject.whole();
    let pipeline = subject.load(device).expect("loads");
    device.fail_allocations(0..0);
    collect(subject.start(&pipeline, None).expect("starts")).1.expect("runs");
    let all = device.fail_allocations(0..0);
    println!("{all} allocations");
    for first in (0..all).step_by(each) {
        survive(subject, device, &pipeline, first..first + 1 + first % 2, &whole);
    }
}

#[test]
fn failed_allocations_lose_nothing() {
    survive_allocations(&Dance::new(), &device(), 301);
}

/// Parameters in uniform buffers are allocated when commands are submitted, not when they are recorded.
#[test]
fn failed_allocations_of_parameters_lose_nothing() {
    let device = Device::builder().shader_checks(true).immediates(false).build().expect("an adapter");
    survive_allocations(&Dance::new(), &device, 2003);
}

/// What could not be submitted for want of memory is submitted the next time: a second try may need it.
#[test]
fn a_failed_submission_is_made_good() {
    let device = Device::builder().shader_checks(true).immediates(false).build().expect("an adapter");
    let mut rec = Recorder::new(&device, Cancel::new());
    let x = rec.upload(&[64], &[1.5; 64]).expect("an upload");
    let sum = add(&mut rec, &x, &x).expect("recorded");
    device.fail_allocations(0..1);
    assert!(matches!(rec.finish(), Err(Error::Limits { .. })), "the parameters have no memory");
    device.fail_allocations(0..0);
    assert_eq!(rec.download(&sum).expect("the sum"), [3.0; 64]);
}

#[test]
#[ignore = "runs as often as there are allocations: minutes"]
fn every_failed_allocation_loses_nothing() {
    survive_allocations(&Dance::new(), &device(), 1);
    survive_allocations(&Story(Scheduler::DpmPpSde), &device(), 1);
}

#[test]
fn loading_survives_failed_allocations() {
    let (subject, device) = (Dance::new(), device());
    drop(subject.load(&device).expect("loads"));
    let all = device.fail_allocations(0..0);
    for first in (0..all).step_by(83) {
        device.fail_allocations(first..first + 1);
        let error = subject.load(&device).expect_err("weights have no second try");
        assert!(matches!(error, Error::Limits { .. }), "{error}");
        assert_eq!(device.memory_use().current, 0, "what was loaded is given back");
    }
    device.fail_allocations(0..0);
    subject.load(&device).expect("loads");
}

/// The GPU is lost after so many events, and what is left is made on another one.
fn survive_loss(subject: &impl Subject, events: usize, whole: &Video) {
    let (mut frames, lost) = (Vec::new(), device());
    let pipeline = subject.load(&lost).expect("loads");
    let mut generation = subject.start(&pipeline, None).expect("starts");
    let mut told = 0;
    let end = generation.try_for_each_event(|event| {
        if let Event::Frame(frame) = event {
            frames.push(frame.samples().to_vec());
        }
        told += 1;
        if told == events {
            lost.wgpu_device().destroy();
        }
    });
    let state = generation.state();
    match end {
        Ok(()) => assert!(told <= events + 5, "a lost GPU made something"),
        Err(error) => assert!(matches!(error, Error::DeviceLost(_)), "{error}"),
    }
    drop(generation);
    drop(pipeline);
    assert_eq!(state.frames(), frames.len());
    let pipeline = subject.load(&device()).expect("loads");
    frames.extend(collect(subject.start(&pipeline, Some(state)).expect("starts")).1.expect("runs"));
    assert!(frames == *whole, "lost after {events} events");
}

#[test]
fn a_lost_gpu_loses_nothing() {
    let subject = Dance::new();
    let whole = subject.whole();
    // A segment has six events and its frames.
    for events in [1, 4, 8, 21] {
        survive_loss(&subject, events, &whole);
    }
}

/// Latents that have reached the host are kept, although the GPU is lost in the step after.
#[test]
fn a_lost_gpu_loses_no_step_that_has_arrived() {
    let (subject, lost) = (Dance::new(), device());
    let pipeline = subject.load(&lost).expect("loads");
    let mut generation = subject.start(&pipeline, None).expect("starts");
    let step = generation.by_ref().find_map(|event| if let Event::Step(step) = event.expect("runs") { Some(step.step) } else { None });
    lost.wgpu_device().poll(wgpu::PollType::wait_indefinitely()).expect("the step is done");
    lost.wgpu_device().destroy();
    assert!(generation.by_ref().any(|event| event.is_err()), "the GPU is lost");
    let pipeline = subject.load(&device()).expect("loads");
    let mut resumed = subject.start(&pipeline, Some(generation.state())).expect("starts");
    let next = resumed.by_ref().find_map(|event| if let Event::Step(step) = event.expect("runs") { Some(step.step) } else { None });
    assert_eq!(next, step.map(|step| step + 1));
}

/// What follows a lost GPU may have less memory, as little as the run can do with: then blocks leave it for other stages.
#[test]
fn a_lost_gpu_is_followed_by_a_smaller_one() {
    let subject = Dance::new();
    let whole = subject.whole();
    let lost = device();
    let pipeline = subject.load(&lost).expect("loads");
    let mut generation = subject.start(&pipeline, None).expect("starts");
    let mut frames = Vec::new();
    let end = generation.try_for_each_event(|event| match event {
        Event::Frame(frame) => frames.push(frame.samples().to_vec()),
        Event::Step(_) if !frames.is_empty() => lost.wgpu_device().destroy(),
        _ => {}
    });
    assert!(matches!(end, Err(Error::DeviceLost(_))), "{end:?}");
    let (state, taken) = (generation.state(), lost.memory_use().peak);
    let resume = |device: &Device| -> Result<(Video, u64, bool)> {
        let pipeline = subject.load(device)?;
        let request = subject.request(&pipeline).resume(state.clone());
        let plan = pipeline.plan(&request)?;
        let (_, rest) = collect(request.start()?);
        Ok((rest?, device.memory_use().peak, plan.stages().iter().any(|stage| stage.resident < plan.blocks())))
    };
    let limited = |bytes| Device::builder().shader_checks(true).memory_limit(bytes).build().expect("an adapter");
    let weights = named_budget(resume(&limited(1)));
    let least = named_budget(resume(&limited(weights)));
    let (rest, peak, has_evicted) = resume(&limited(least)).expect("runs");
    frames.extend(rest);
    assert!(frames == whole, "other frames on a GPU of {least} bytes");
    assert!(has_evicted && peak <= least && least < taken, "{peak} bytes of {least}, {taken} before");
}

/// Whenever it is lost, in the middle of work too: an error of the right kind, soon.
#[test]
fn a_gpu_lost_in_the_middle_of_work_is_an_error() {
    let subject = Dance::new();
    let whole = subject.whole();
    for milliseconds in [5, 60, 150, 400] {
        let lost = device();
        let breaker = lost.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(milliseconds));
            breaker.wgpu_device().destroy();
        });
        let result = subject.load(&lost).and_then(|pipeline| collect(subject.start(&pipeline, None)?).1);
        match result {
            Ok(frames) => assert!(frames == whole, "a wrong frame after {milliseconds} ms"),
            Err(error) => assert!(matches!(error, Error::DeviceLost(_)), "after {milliseconds} ms: {error}"),
        }
        thread.join().expect("no panic");
    }
}

/// A tile's size says nothing about the frames, so a run may be gone on with in tiles, and is where memory runs out.
#[test]
fn a_dance_in_tiles_is_the_same() {
    let subject = Dance::new();
    let pipeline = subject.load(&device()).expect("loads");
    let request = || subject.request(&pipeline).size(96, 64).num_inference_steps(1);
    let frames = |tiling| collect(request().vae_tiling(tiling).start().expect("starts")).1.expect("runs");
    assert!(frames(VaeTiling::Pixels(64)) == frames(VaeTiling::Off));
    assert!(matches!(request().vae_tiling(VaeTiling::Pixels(63)).start(), Err(Error::Input(_))));
}
