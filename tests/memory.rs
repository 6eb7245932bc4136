//! Plans, budgets and streaming: what is promised of memory is kept, and changes no bit of the result.

mod common;

use std::sync::Arc;

use common::{Golden, golden_json, golden_path, golden_weights};
use image::RgbImage;
use wan_animate::unversioned::gpu::Recorder;
use wan_animate::unversioned::models::dit::Footprint;
use wan_animate::unversioned::models::dit::animate::Animate;
use wan_animate::video::{Frames, Motion};
use wan_animate::{AnimatePipeline, Cancel, Device, Event, Precision, Result};

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

/// Two passes of the model of a golden of parts, as bits.
fn passes(model: &Animate, rec: &mut Recorder, golden: &Golden) -> Result<Vec<u32>> {
    let text_dim = model.config().text_dim;
    let mut text = golden.values("encoder_hidden_states").to_vec();
    text.resize(512 * text_dim, 0.0);
    let text = rec.upload(&[512, text_dim], &text)?;
    let image = golden.upload(rec, "encoder_hidden_states_image");
    let context = model.context(rec, &text, Some(&image))?;
    let pose = golden.upload(rec, "pose_hidden_states");
    let pose = model.pose(rec, &pose)?;
    let face = golden.upload(rec, "face_encoder");
    let face = model.face_keys(rec, &face)?;
    let latents = golden.upload(rec, "hidden_states");
    let mut bits = Vec::new();
    for timestep in [999.0, 500.0] {
        let out = model.forward(rec, &latents, timestep, &context, &pose, &face)?;
        bits.extend(rec.download(&out)?.into_iter().map(f32::to_bits));
    }
    Ok(bits)
}

/// However many blocks stay, however few tokens are worked on at a time, and whether keys are kept: the same bits.
#[test]
fn streaming_and_runs_change_no_bit() {
    let device = device();
    let mut rec = Recorder::new(&device, Cancel::new());
    let golden = Golden::open("parts/tiny_transformer.safetensors");
    let config = golden_json("tiny/transformer/config.json");
    let weights = Arc::new(golden_weights("tiny/transformer"));
    for precision in [Precision::F32, Precision::F16] {
        let model = Animate::open(&device, &weights, precision, &config).expect("opens");
        let (dit, all) = (model.dit(), model.dit().blocks().len());
        dit.blocks().fill(&device).expect("loads");
        let resident = passes(&model, &mut rec, &golden).expect("runs");
        assert!(resident.iter().any(|&bits| bits != resident[0]), "a result of one value");
        for (keep, tokens, keep_keys) in (0..=all).map(|keep| (keep, [1, 8192][keep % 2], keep % 3 == 0)) {
            dit.blocks().keep(keep);
            dit.set_footprint(Footprint { tokens, keep_keys });
            let streamed = passes(&model, &mut rec, &golden).expect("runs");
            assert!(streamed == resident, "{precision:?}: {keep} of {all} blocks resident, {tokens} tokens at a time");
        }
    }
}
