//! Plans, budgets and streaming: what is promised of memory is kept, and changes no bit of the result.

mod common;

use common::golden_path;
use image::RgbImage;
use wan_animate::video::{Frames, Motion};
use wan_animate::{AnimatePipeline, Device, Event, Precision, Result};

fn device() -> Device {
    Device::builder().build().expect("an adapter")
}

fn video(frames: usize, width: u32, height: u32) -> Frames {
    let image = |i: usize| RgbImage::from_fn(width, height, |x, y| image::Rgb([(x * 7) as u8, (y * 5) as u8, (i * 31) as u8]));
    Frames::from_images((0..frames).map(image)).expect("frames")
}

/// The frames of a small animation of two segments, and the peak of memory while it ran.
fn animate(device: &Device, precision: Precision) -> Result<(Vec<f32>, u64)> {
    let pipeline = AnimatePipeline::builder(device).checkpoint(golden_path("tiny")).precision(precision).build()?;
    let motion = Motion::new(video(8, 32, 32), Some(video(8, 40, 40)))?;
    let reference = RgbImage::from_pixel(30, 50, image::Rgb([200, 100, 50]));
    let request = pipeline.animate(&reference, &motion).segment_frames(5).num_inference_steps(2).guidance_scale(2.0);
    device.reset_peak();
    let mut samples = Vec::new();
    for event in request.start()? {
        if let Event::Frame(frame) = event? {
            samples.extend_from_slice(frame.samples());
        }
    }
    Ok((samples, device.memory_use().peak))
}

/// Planning is running on a device that does nothing, so its figures are those of the real thing, to the byte.
#[test]
fn a_dry_device_takes_what_a_real_one_does() {
    let real = device();
    let dry = real.dry(real.limits().clone());
    let (samples, peak) = animate(&real, Precision::F16).expect("runs");
    let (rehearsed, planned) = animate(&dry, Precision::F16).expect("rehearses");
    assert_eq!(planned, peak);
    assert_eq!(rehearsed.len(), samples.len());
    let rehearsal = dry.rehearsal().expect("a dry device");
    assert!(rehearsal.dispatches() > 1000 && rehearsal.operations() > 1e6 && rehearsal.largest_buffer().size > 1 << 16);
}
