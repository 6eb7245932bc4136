//! Colours of segments, held to those before.

use crate::common::golden_path;
use image::RgbImage;
use wan_animate::video::{Frames, Motion};
use wan_animate::{AnimatePipeline, AnimateRequest, Device, Drift, Error, Event, Precision, Result};

/// Three segments of nine frames, each beginning with two of the one before.
fn request(pipeline: &AnimatePipeline) -> Result<AnimateRequest> {
    let image = |i: usize| RgbImage::from_fn(32, 32, |x, y| image::Rgb([(x * 7) as u8, (y * 5) as u8, (i * 11) as u8]));
    let video = Frames::from_images((0..23).map(image).collect::<Vec<_>>())?;
    let reference = RgbImage::from_pixel(30, 50, image::Rgb([200, 100, 50]));
    let request = pipeline.animate(reference, Motion::new(video.clone(), video)?).size(32, 32).segment_frames(9).overlap(2);
    Ok(request.num_inference_steps(2))
}

fn run(request: AnimateRequest) -> Result<(Vec<Vec<f32>>, Vec<Drift>)> {
    let (mut frames, mut drifts) = (Vec::new(), Vec::new());
    for event in request.start()? {
        match event? {
            Event::Frame(frame) => frames.push(frame.into_samples()),
            Event::Drift(drift) => drifts.push(drift),
            _ => {}
        }
    }
    Ok((frames, drifts))
}

#[test]
fn segments_are_held_to_those_before() -> Result<()> {
    let device = Device::builder().build()?;
    let pipeline = AnimatePipeline::builder(&device).checkpoint(golden_path("tiny")).precision(Precision::F32).build()?;
    let (free, drifts) = run(request(&pipeline)?)?;
    assert_eq!(drifts.iter().map(|drift| drift.segment).collect::<Vec<_>>(), [1, 2]);
    assert!(drifts.iter().all(|drift| drift.drift > 1.0 && drift.anchored == drift.drift), "{drifts:?}");
    assert!(run(request(&pipeline)?.color_anchor(0.0))?.0 == free, "0 changes no bit");
    let (held, drifts) = run(request(&pipeline)?.color_anchor(1.0))?;
    println!("{drifts:?}");
    assert!(drifts.iter().all(|drift| drift.anchored < drift.drift / 2.0), "{drifts:?}");
    assert!(held[..9] == free[..9], "the first segment has none before it");
    assert!(held[9] != free[9]);
    let (half, drifts) = run(request(&pipeline)?.color_anchor(0.5))?;
    assert!(half[9] != free[9] && half[9] != held[9]);
    assert!(drifts[0].anchored < 0.8 * drifts[0].drift, "{drifts:?}");
    Ok(())
}

#[test]
fn impossible_settings_are_refused() -> Result<()> {
    let device = Device::builder().build()?;
    let pipeline = AnimatePipeline::builder(&device).checkpoint(golden_path("tiny")).precision(Precision::F32).build()?;
    for strength in [-0.1, 1.1, f64::NAN] {
        let refused = request(&pipeline)?.color_anchor(strength).start();
        assert!(matches!(refused, Err(Error::Input(why)) if why.contains("strength")));
    }
    assert!(matches!(request(&pipeline)?.color_anchor(1.0).textures(true).start(), Err(Error::Input(_))));
    Ok(())
}
