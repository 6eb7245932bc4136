//! The demo's checkpoint: a character that it was not trained on performs a motion that it was not trained on, as the world that
//! it was trained on would draw it.

use std::path::{Path, PathBuf};

use image::RgbImage;
use wan_animate::video::{Frames, Motion, Scene, open_image};
use wan_animate::{AnimatePipeline, Device, Event};

/// One segment, as many as the checkpoint was trained with.
const FRAMES: usize = 17;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo").join(name)
}

fn images(name: &str) -> Vec<RgbImage> {
    let video = Frames::open(path(name)).expect("the demo's inputs");
    (0..FRAMES).map(|index| video.read(index).expect("a frame")).collect()
}

fn frames(name: &str) -> Frames {
    Frames::from_images(images(name)).expect("frames of one size")
}

/// The character in the place of the scene's, who moves as `pose` shows.
fn replace(pipeline: &AnimatePipeline, pose: Frames) -> Vec<RgbImage> {
    let reference = open_image(path("reference.png")).expect("the demo's character");
    let motion = Motion::new(pose, frames("face")).expect("as many poses as faces");
    let scene = Scene::new(motion, frames("background"), frames("mask")).expect("fits");
    let request = pipeline.replace(&reference, &scene).segment_frames(FRAMES).num_inference_steps(4);
    let events = request.start().expect("starts").map(|event| event.expect("runs"));
    events.filter_map(|event| if let Event::Frame(frame) = event { Some(frame.to_rgb8()) } else { None }).collect()
}

/// In dB, of 8-bit frames.
fn psnr(a: &[RgbImage], b: &[RgbImage]) -> f64 {
    let pairs = a.iter().zip(b).flat_map(|(a, b)| a.iter().zip(b.iter()));
    let (sum, count) = pairs.fold((0.0, 0.0), |(sum, count), (&a, &b)| (sum + (f64::from(a) - f64::from(b)).powi(2), count + 1.0));
    10.0 * (255.0 * 255.0 * count / sum).log10()
}

/// The mean difference in levels where the mask is black.
fn change_of_background(made: &[RgbImage], truth: &[RgbImage]) -> f64 {
    let pixels = images("mask").into_iter().zip(made.iter().zip(truth)).flat_map(|(mask, (a, b))| {
        let kept = a.pixels().zip(b.pixels()).zip(mask.pixels()).filter(|(_, mask)| mask[0] == 0);
        kept.flat_map(|((a, b), _)| a.0.into_iter().zip(b.0)).map(|(a, b)| f64::from(a.abs_diff(b))).collect::<Vec<_>>()
    });
    let differences: Vec<f64> = pixels.collect();
    differences.iter().sum::<f64>() / differences.len() as f64
}

#[test]
fn the_character_takes_the_place_and_follows_the_pose() {
    let device = Device::builder().build().expect("an adapter (`make test` installs a software one)");
    let pipeline = AnimatePipeline::builder(&device).checkpoint(path("model")).build().expect("the demo's checkpoint");
    let truth = images("truth");
    let made = replace(&pipeline, frames("pose"));
    let mut backwards = images("pose");
    backwards.reverse();
    let wrong = replace(&pipeline, Frames::from_images(backwards).expect("frames of one size"));
    let (right, wrong, background) = (psnr(&made, &truth), psnr(&wrong, &truth), change_of_background(&made, &truth));
    println!("{right:.2} dB, with the poses backwards {wrong:.2} dB; background {background:.2} levels");
    assert_eq!(made.len(), FRAMES);
    // Measured: 24.3 dB, 19.7 dB with the poses backwards, 4.8 levels.
    assert!(right > 22.0, "{right} dB");
    assert!(right > wrong + 2.0, "{right} dB, with the poses backwards {wrong} dB");
    assert!(background < 8.0, "the background changed by {background} levels");
}

/// The last preview, whose latents are those that are decoded, in the colours of the frames that come of it.
#[test]
fn previews_look_like_the_frames() {
    let device = Device::builder().build().expect("an adapter (`make test` installs a software one)");
    let pipeline = AnimatePipeline::builder(&device).checkpoint(path("model")).build().expect("the demo's checkpoint");
    let reference = open_image(path("reference.png")).expect("the demo's character");
    let motion = Motion::new(frames("pose"), frames("face")).expect("as many poses as faces");
    let request = pipeline.animate(&reference, &motion).segment_frames(FRAMES).num_inference_steps(4).previews(true);
    let (mut preview, mut made) = (None, Vec::new());
    for event in request.start().expect("starts") {
        match event.expect("runs") {
            Event::Preview(latents) => preview = latents.to_rgb(),
            Event::Frame(frame) => made.push(frame.to_rgb8()),
            _ => {}
        }
    }
    let preview = preview.expect("previews that can be shown");
    assert_eq!(preview.len(), 5, "a picture for each latent frame");
    // Of each four frames the last.
    let (width, height) = preview[0].dimensions();
    let small = |frame: &RgbImage| image::imageops::resize(frame, width, height, image::imageops::FilterType::Triangle);
    let wanted: Vec<_> = made.iter().step_by(4).map(small).collect();
    let grey = vec![RgbImage::from_pixel(width, height, image::Rgb([128; 3])); 5];
    let (near, far) = (psnr(&preview, &wanted), psnr(&grey, &wanted));
    println!("{near:.2} dB, nothing but grey {far:.2} dB");
    assert!(near > 16.0 && near > far + 4.0, "{near} dB, nothing but grey {far} dB");
}
