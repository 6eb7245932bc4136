//! A checkpoint in the layout of the official release, against the frames that the official code makes of the same weights in f32: see
//! `tests/reference/official.py`. The motion encoder has its fixed 512 pixels.

mod common;
#[path = "common/official.rs"]
mod official;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use common::{Golden, difference, golden_path};
use official::release;
use tempfile::TempDir;
use wan_animate::video::{Frames, Motion, Scene, open_image};
use wan_animate::{AnimatePipeline, AnimateRequest, Device, Event, Lora, Precision, Scheduler};

/// Mean difference of frames in [0, 1]: what f32 rounding adds up to, the reference's own included. An image that is resized by another rule adds
/// more.
const MEAN: f64 = 1e-5;
/// Largest difference: no pixel is of another rule either.
const MOST: f64 = 5e-4;

const LORA: &str = "relighting_lora.ckpt";

/// The whole release, which tests that run at the same time share. The last of them removes it: it has 200 MB.
fn model() -> Arc<TempDir> {
    static MODEL: Mutex<Weak<TempDir>> = Mutex::new(Weak::new());
    let mut known = MODEL.lock().unwrap_or_else(PoisonError::into_inner);
    let model = known.upgrade().unwrap_or_else(|| Arc::new(release("official/animate", |_, _| true)));
    *known = Arc::downgrade(&model);
    model
}

/// A video of the goldens, or its beginning.
fn video(name: &str, frames: usize) -> Frames {
    let all = Frames::open(golden_path("official/animate").join(name)).expect("opens");
    Frames::from_images((0..frames).map(|i| all.read(i).expect("a frame"))).expect("frames")
}

struct Case {
    name: &'static str,
    replace: bool,
    /// Without it the face is empty, which is encoded once; faces are encoded for 10 s each.
    face: bool,
    lora: Option<f32>,
    request: fn(AnimateRequest) -> AnimateRequest,
}

fn check(case: &Case) {
    let (name, model) = (case.name, model());
    let golden = Golden::open(&format!("official/animate/{name}.safetensors"));
    let frames = golden.shape("frames")[0];
    let device = Device::builder().build().expect("an adapter");
    let mut builder = AnimatePipeline::builder(&device).checkpoint(model.path()).precision(Precision::F32);
    if let Some(weight) = case.lora {
        builder = builder.lora(Lora::open(model.path().join(LORA)).expect("opens").weight(weight));
    }
    let pipeline = builder.build().expect("builds");
    let reference = open_image(golden_path("official/animate/src_ref.png")).expect("opens");
    let motion = Motion::new(Some(video("pose", frames)), case.face.then(|| video("face", frames))).expect("fits");
    let scene = Scene::new(motion, video("bg", frames), video("mask", frames)).expect("fits");
    let request = if case.replace { pipeline.replace(&reference, &scene) } else { pipeline.animate(&reference, scene.motion()) };
    let request = (case.request)(request.num_inference_steps(3).seed(1).prompt("a person dances"));
    let mut got = Vec::new();
    for event in request.start().expect("starts") {
        if let Event::Frame(frame) = event.expect("goes on") {
            got.extend_from_slice(frame.samples());
        }
    }
    let (mean, most) = difference(&got, golden.values("frames"));
    println!("{name}: mean {mean:.2e}, largest {most:.2e}");
    assert!(mean <= MEAN && most <= MOST, "{name}: mean {mean:.2e}, largest {most:.2e}");
}

/// Two segments with one frame carried over; UniPC is what the official command line takes where nothing is said.
#[test]
fn animate_with_guidance() {
    check(&Case {
        name: "animate",
        replace: false,
        face: false,
        lora: None,
        request: |request| request.segment_frames(5).guidance_scale(2.0),
    });
}

/// Two segments with five frames carried over.
#[test]
fn replace_with_half_of_the_relighting_lora() {
    check(&Case {
        name: "replace",
        replace: true,
        face: false,
        lora: Some(0.5),
        request: |request| request.segment_frames(9).overlap(5).scheduler(Scheduler::DpmPp2M),
    });
}

#[test]
#[ignore = "a minute: six faces of 512 pixels"]
fn animate_with_faces_and_guidance() {
    check(&Case {
        name: "animate_face",
        replace: false,
        face: true,
        lora: None,
        request: |request| request.segment_frames(5).guidance_scale(2.0).scheduler(Scheduler::DpmPp2M),
    });
}

#[test]
#[ignore = "a minute: five faces of 512 pixels"]
fn replace_with_faces_and_the_relighting_lora() {
    check(&Case { name: "replace_face", replace: true, face: true, lora: Some(1.0), request: |request| request.segment_frames(5) });
}

/// Official code that has `use_img_emb` off still makes the image embedder, and looks neither at it nor at CLIP.
#[test]
fn without_image_keys_neither_clip_nor_the_image_embedder_is_needed() {
    let folder = release("official/animate", |file, tensor| !file.contains("clip") && !tensor.contains("_img."));
    let device = Device::builder().build().expect("an adapter");
    AnimatePipeline::builder(&device).checkpoint(folder.path()).build().expect("builds");
}
