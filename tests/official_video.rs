//! Checkpoints in the layout of the official releases of T2V, I2V and TI2V, against the frames that the official code makes of the same weights in
//! f32: see `tests/reference/official_video.py`. What is not set here is as in the official command line: boundary, shift, guidance, negative prompt.

mod common;
#[path = "common/official.rs"]
mod official;

use common::{Golden, difference, golden_path};
use official::release;
use wan_animate::video::open_image;
use wan_animate::{Device, Event, Precision, Result, Scheduler, VideoPipeline, VideoRequest};

/// Mean difference of frames in [0, 1]: what f32 rounding adds up to, the reference's own included. An image that is resized by another rule adds
/// more.
const MEAN: f64 = 1e-5;
/// Largest difference: no pixel is of another rule either.
const MOST: f64 = 5e-4;

/// A golden of a kind of release.
struct Case {
    name: &'static str,
    size: (u32, u32),
    from_image: bool,
    settings: fn(VideoRequest) -> VideoRequest,
}

const CASE: Case = Case { name: "unipc", size: (48, 32), from_image: false, settings: |request| request };

fn check(kind: &str, steps: usize, cases: &[Case]) {
    let folder = golden_path("official").join(kind);
    let model = release(&format!("official/{kind}"), |_, _| true);
    let device = Device::builder().build().expect("an adapter");
    let pipeline = VideoPipeline::builder(&device).checkpoint(model.path()).precision(Precision::F32).build().expect("builds");
    let image = open_image(folder.join("image.png")).expect("opens");
    for &Case { name, size: (width, height), from_image, settings } in cases {
        let prompt = "two cats box on a stage";
        let request = if from_image { pipeline.image_to_video(&image, prompt) } else { pipeline.text_to_video(prompt) };
        let request = settings(request.size(width, height).num_frames(5).seed(1));
        assert_eq!(request.clone().start().expect("starts").num_steps(), steps, "{kind}: official steps");
        let got = frames(request.num_inference_steps(4)).expect("goes on");
        let golden = Golden::read(&folder.join(format!("{name}.safetensors")));
        let (mean, most) = difference(&got, golden.values("frames"));
        println!("{kind} {name}: mean {mean:.2e}, largest {most:.2e}");
        assert!(mean <= MEAN && most <= MOST, "{kind} {name}: mean {mean:.2e}, largest {most:.2e}");
    }
}

fn frames(request: VideoRequest) -> Result<Vec<f32>> {
    let mut samples = Vec::new();
    for event in request.start()? {
        if let Event::Frame(frame) = event? {
            samples.extend_from_slice(frame.samples());
        }
    }
    Ok(samples)
}

#[test]
fn text_to_video() {
    let dpm = Case { name: "dpm", settings: |request| request.scheduler(Scheduler::DpmPp2M), ..CASE };
    check("t2v", 40, &[CASE, dpm]);
}

#[test]
fn image_to_video() {
    let dpm = Case { name: "dpm", from_image: true, settings: |request| request.scheduler(Scheduler::DpmPp2M).shift(3.0), ..CASE };
    check("i2v", 40, &[Case { from_image: true, ..CASE }, dpm]);
}

/// Up to 832x480 the shift is 3.
#[test]
fn image_to_video_of_wan_2_1() {
    let shifted = Case { name: "shifted", from_image: true, settings: |request| request.shift(5.0), ..CASE };
    check("i2v_2_1", 40, &[Case { name: "small", from_image: true, ..CASE }, shifted]);
}

/// The image is scaled to cover the video, and its middle taken.
#[test]
fn text_and_image_to_video() {
    let text = Case { name: "text", size: (64, 32), ..CASE };
    check("ti2v", 50, &[Case { name: "image", from_image: true, ..text }, text]);
}
