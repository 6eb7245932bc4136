//! The demo's checkpoint on a real clip: long enough for two segments, read from and written to MP4. The clip is not part of the
//! repository; without it these tests say so and pass.
#![cfg(feature = "mp4")]

use std::path::{Path, PathBuf};

use wan_animate::video::{Frames, Motion, Scene, VideoWriter, open_image};
use wan_animate::{AnimatePipeline, AnimateRequest, Device, Event};

const FRAMES: usize = 78;
const SIZE: (u32, u32) = (208, 112);

fn clip() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !folder.join("cloth/pose.mp4").exists() {
        println!("skipped: {} is not there", folder.display());
        return None;
    }
    Some(folder)
}

fn pipeline() -> AnimatePipeline {
    let device = Device::builder().build().expect("an adapter");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo/model");
    AnimatePipeline::builder(&device).checkpoint(model).build().expect("the demo's checkpoint")
}

fn open(folder: &Path, name: &str) -> Frames {
    Frames::open(folder.join("cloth").join(name)).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs two segments and checks the file that comes of it.
fn check(request: AnimateRequest, fps: f64) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("out.mp4");
    let generation = request.size(SIZE.0, SIZE.1).segment_frames(41).num_inference_steps(2).start().expect("starts");
    assert_eq!((generation.num_frames(), generation.num_segments()), (FRAMES, 2));
    let mut writer = VideoWriter::create(&file, SIZE.0, SIZE.1, fps).expect("a writer");
    for event in generation {
        if let Event::Frame(frame) = event.expect("runs") {
            writer.write(&frame).expect("writes");
        }
    }
    writer.finish().expect("finishes");
    let video = Frames::open(&file).expect("opens again");
    assert_eq!((video.num_frames(), video.size(), video.fps()), (FRAMES, SIZE, Some(30.0)));
    video.read(FRAMES - 1).expect("decodes to the end");
}

#[test]
#[ignore = "takes a minute on a software adapter"]
fn animate_a_real_clip() {
    let Some(folder) = clip() else { return };
    let reference = open_image(folder.join("astronaut.png")).expect("an image");
    let motion = Motion::new(open(&folder, "pose.mp4"), open(&folder, "face.mp4")).expect("fits");
    check(pipeline().animate(&reference, &motion), motion.fps().expect("a video has a rate"));
}

#[test]
#[ignore = "takes a minute on a software adapter"]
fn replace_in_a_real_clip() {
    let Some(folder) = clip() else { return };
    let reference = open_image(folder.join("astronaut.png")).expect("an image");
    let motion = Motion::new(open(&folder, "pose.mp4"), open(&folder, "face.mp4")).expect("fits");
    let scene = Scene::new(motion, open(&folder, "background.mp4"), open(&folder, "mask_1x1.mp4")).expect("fits");
    check(pipeline().replace(&reference, &scene), 30.0);
}
