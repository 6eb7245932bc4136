//! Videos that are made in pieces, each from the last frames of the one before: the same as if they were made at once.

use crate::common::golden_path;
use image::RgbImage;
use wan_animate::video::{Frame, Frames, Motion, Scene, open_image};
use wan_animate::{AnimatePipeline, AnimateRequest, Device, Error, Event, Generation, MemoryBudget, Precision, Scheduler, State};

const FRAMES: usize = 11;

fn pipeline() -> AnimatePipeline {
    let device = Device::builder().build().expect("an adapter (`make test` installs a software one)");
    AnimatePipeline::builder(&device).checkpoint(golden_path("tiny")).precision(Precision::F32).build().expect("loads")
}

fn video(name: &str) -> Frames {
    let all = Frames::open(golden_path("inputs").join(name)).expect("a golden");
    Frames::from_images((0..FRAMES).map(|i| all.read(i).expect("a frame"))).expect("frames")
}

fn motion() -> Motion {
    Motion::new(video("pose"), video("face_16")).expect("as many poses as faces")
}

fn animate(pipeline: &AnimatePipeline) -> AnimateRequest {
    let request = pipeline.animate(open_image(golden_path("inputs/reference.png")).expect("a golden"), motion());
    request.size(48, 32).segment_frames(5).num_inference_steps(2).prompt("x").seed(7)
}

fn run(generation: &mut Generation) -> Vec<Frame> {
    let frame = |event| if let Event::Frame(frame) = event { Some(frame) } else { None };
    generation.filter_map(|event| frame(event.expect("runs"))).collect()
}

/// One piece a segment.
fn in_pieces(request: &dyn Fn() -> AnimateRequest, segment_frames: usize, overlap: usize) -> Vec<Frame> {
    let (mut made, mut state, mut offset) = (Vec::<Frame>::new(), None::<State>, 0);
    while offset < FRAMES {
        let given = made.len().min(overlap);
        let mut piece = request().frame_offset(offset).num_frames(segment_frames - given).continue_from(made.iter().cloned());
        if let Some(state) = &state {
            piece = piece.noise_from(state);
        }
        let mut generation = piece.start().expect("starts");
        assert_eq!((generation.num_given_frames(), generation.num_segments()), (given, 1));
        let frames = run(&mut generation);
        assert_eq!((frames.len(), generation.next_frame_offset()), (generation.num_frames(), offset + frames.len()));
        (state, offset) = (Some(generation.state()), generation.next_frame_offset());
        made.extend(frames);
    }
    made
}

#[test]
fn pieces_are_the_whole() {
    let pipeline = pipeline();
    let scene = Scene::new(motion(), video("background"), video("mask")).expect("a scene");
    let replace = || {
        let request = pipeline.replace(open_image(golden_path("inputs/reference.png")).expect("a golden"), &scene);
        request.size(48, 32).segment_frames(5).num_inference_steps(2).prompt("x").seed(7)
    };
    // The last draws more noise in its steps.
    let ancestral = || animate(&pipeline).overlap(2).scheduler(Scheduler::EulerAncestral);
    let cases: [(&str, usize, usize, &dyn Fn() -> AnimateRequest); 4] = [
        ("one frame", 5, 1, &|| animate(&pipeline)),
        ("four frames", 9, 4, &|| animate(&pipeline).segment_frames(9).overlap(4)),
        ("a scene", 5, 1, &replace),
        ("noise in steps", 5, 2, &ancestral),
    ];
    for (name, segment_frames, overlap, request) in cases {
        let whole = run(&mut request().start().expect("starts"));
        assert_eq!(whole.len(), FRAMES);
        assert!(in_pieces(request, segment_frames, overlap) == whole, "{name}");
    }
}

/// What is cut off is the beginning of what is not.
#[test]
fn fewer_frames_are_the_first() {
    let pipeline = pipeline();
    let whole = run(&mut animate(&pipeline).start().expect("starts"));
    let some = run(&mut animate(&pipeline).num_frames(7).start().expect("starts"));
    assert!(some == whole[..7]);
}

#[test]
fn a_continuation_can_be_resumed() {
    let pipeline = pipeline();
    let first = run(&mut animate(&pipeline).num_frames(5).start().expect("starts"));
    let request = || animate(&pipeline).frame_offset(5).continue_from(first.clone());
    let mut generation = request().start().expect("starts");
    generation.find(|event| matches!(event, Ok(Event::Step(_)))).expect("a step").expect("runs");
    let state = generation.state();
    assert!(run(&mut request().resume(state.clone()).start().expect("starts")) == run(&mut request().start().expect("starts")));
    let other = request().continue_from([Frame::from(&RgbImage::new(48, 32))]).resume(state).start();
    assert!(matches!(&other, Err(Error::Input(message)) if message.contains("continue from")), "{other:?}");
}

#[test]
fn a_continuation_is_planned_and_keeps_to_its_budget() {
    let pipeline = pipeline();
    let first = run(&mut animate(&pipeline).num_frames(5).start().expect("starts"));
    let request = || animate(&pipeline).frame_offset(5).continue_from(first.clone());
    let all = request().plan().expect("a plan").peak();
    let outcome = request().memory_budget(MemoryBudget::bytes(all - 1)).start();
    assert!(run(&mut outcome.expect("blocks leave")) == run(&mut request().start().expect("starts")));
}

#[test]
fn impossible_continuations_are_refused() {
    let pipeline = pipeline();
    let frame = |width| Frame::from(&RgbImage::new(width, 32));
    let refused = |words: &str, request: AnimateRequest| {
        let outcome = request.start();
        assert!(matches!(&outcome, Err(Error::Input(message)) if message.contains(words)), "{words}: {outcome:?}");
    };
    refused("offset of 0", animate(&pipeline).continue_from([frame(48)]));
    refused("32x32", animate(&pipeline).frame_offset(5).continue_from([frame(32)]));
    refused("no frames", animate(&pipeline).num_frames(0));
    let nan = Frame::new(48, 32, vec![f32::NAN; 48 * 32 * 3]).expect("a frame");
    refused("not finite", animate(&pipeline).frame_offset(5).continue_from([nan]));
    let state = animate(&pipeline).start().expect("starts").state();
    refused("2 videos", animate(&pipeline).noise_from(&state).num_videos(2));
}
