//! Tiny decoders against torch, and as what they are for: previews, and drafts in place of frames.

use crate::common::{Golden, assert_close, golden_path};
use image::RgbImage;
use wan_animate::unversioned::layers::Loader;
use wan_animate::unversioned::models::taehv::{TinyDecoder, config::Config};
use wan_animate::unversioned::models::vae::Vae;
use wan_animate::unversioned::models::{open, spec::Sizes};
use wan_animate::unversioned::ops::{copy::concat, copy::slice, permute::permute};
use wan_animate::unversioned::{dtype::DType, gpu::Recorder, gpu::Tensor};
use wan_animate::video::{Frames, Motion};
use wan_animate::{AnimatePipeline, AnimateRequest, Builder, Cancel, Device, Event, MemoryBudget, Precision, Result};

/// A dozen convolutions in f32, summed in another order.
const F32: f64 = 1e-5;

/// Latents [C, T, H, W] as frames [F, H, W, 3].
fn decode(rec: &mut Recorder, decoder: &TinyDecoder, latents: &Tensor) -> Result<Tensor> {
    let mut stream = decoder.stream();
    let frames = permute(rec, latents, &[1, 2, 3, 0], DType::F32)?;
    let mut decoded = Vec::new();
    for index in 0..frames.shape()[0] {
        let latent = slice(rec, &frames, index, 1)?;
        decoded.push(stream.next(rec, &latent.reshape(&frames.shape()[1..]))?);
    }
    concat(rec, &decoded.iter().collect::<Vec<_>>())
}

fn load(device: &Device, name: &str) -> Result<TinyDecoder> {
    let weights = open(golden_path("tiny_decoder").join(format!("{name}.safetensors")))?;
    let decoder = TinyDecoder::load(&Loader::new(device, &weights, Precision::F32), &Config::of(&weights)?)?;
    weights.finish()?;
    Ok(decoder)
}

#[test]
fn frames_are_those_of_torch() -> Result<()> {
    let (device, mut rec) = crate::common::device();
    for name in ["taew2_1", "taew2_2"] {
        let golden = Golden::open(&format!("tiny_decoder/{name}.golden.safetensors"));
        let latents = golden.upload(&mut rec, "latents");
        let frames = decode(&mut rec, &load(&device, name)?, &latents)?;
        assert_eq!(frames.shape(), golden.shape("frames"));
        assert_close(name, &rec.download(&frames)?, golden.values("frames"), F32);
    }
    Ok(())
}

/// Operations of a latent frame once there was one before, by the VAE and by `taew2_1`: at a quarter of 480p, for buffers of software drivers.
#[test]
fn a_latent_frame_takes_less_than_a_twelfth_of_the_operations() -> Result<()> {
    let (device, _) = crate::common::device();
    let dry = device.dry(device.limits().clone());
    let mut rec = Recorder::new(&dry, Cancel::new());
    let operations = || dry.rehearsal().expect("a dry device").cost().flops;
    let folder = tempfile::tempdir().expect("a folder");
    let of = |golden: &str| {
        let file = folder.path().join(format!("{golden}.safetensors"));
        crate::published::write_safetensors(&file, &crate::published::tensors(golden, "F32"));
        open(file)
    };
    let latent = rec.zeros(&[30, 52, 16])?;
    let weights = of("diffusers_vae_2_1")?;
    let mut decoder = Vae::load(&Loader::new(&dry, &weights, Precision::F16), &Default::default())?.decoder();
    decoder.next(&mut rec, &latent)?;
    let before = operations();
    decoder.next(&mut rec, &latent)?;
    let whole = operations() - before;
    let weights = of("taew2_1")?;
    let mut stream = TinyDecoder::load(&Loader::new(&dry, &weights, Precision::F16), &Config::of(&weights)?)?.stream();
    stream.next(&mut rec, &latent)?;
    let before = operations();
    stream.next(&mut rec, &latent)?;
    let tiny = operations() - before;
    println!("{tiny:.3e} of {whole:.3e} operations: 1/{:.1}", whole / tiny);
    assert!(tiny * 12.0 <= whole);
    Ok(())
}

fn builder<'a>(device: &'a Device) -> Builder<'a, AnimatePipeline> {
    AnimatePipeline::builder(device).checkpoint(golden_path("tiny")).precision(Precision::F32)
}

/// Two segments.
fn request(pipeline: &AnimatePipeline) -> Result<AnimateRequest> {
    let image = |i: usize| RgbImage::from_fn(32, 32, |x, y| image::Rgb([(x * 7) as u8, (y * 5) as u8, (i * 31) as u8]));
    let video = Frames::from_images((0..9).map(image).collect::<Vec<_>>())?;
    let reference = RgbImage::from_pixel(30, 50, image::Rgb([200, 100, 50]));
    let request = pipeline.animate(reference, Motion::new(video.clone(), video)?).size(32, 32).segment_frames(5);
    Ok(request.num_inference_steps(3).previews(true))
}

#[test]
fn drafts_are_told_and_planned() -> Result<()> {
    let device = Device::builder().build()?;
    let decoder = golden_path("tiny_decoder/taew2_1.safetensors");
    let plain = builder(&device).build()?;
    let pipeline = builder(&device).preview_decoder(&decoder).draft_decoder(&decoder).build()?;
    let plan = request(&pipeline)?.plan()?;
    assert!(plan.to_string().contains("as a draft"), "{plan}");
    let generation = request(&pipeline)?.start()?;
    assert!(generation.is_draft() && !request(&plain)?.start()?.is_draft());
    let state = generation.state();
    device.reset_peak();
    let before = device.memory_use().current;
    let (mut preview, mut frames, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
    for event in generation {
        match event? {
            Event::Preview(latents) => preview = latents.to_rgb().expect("a preview"),
            Event::Frame(frame) => frames.push(frame.to_rgb8()),
            Event::Warning(warning) => warnings.push(warning),
            _ => {}
        }
    }
    println!("{plan}\n{before} before");
    assert!(warnings.iter().any(|warning| warning.contains("drafts")), "{warnings:?}");
    // The last preview of a segment is of what is decoded; its first frame was given by the segment before.
    assert_eq!(preview[1..], frames[5..]);
    let refused = request(&plain)?.resume(state).start().expect_err("another decoder").to_string();
    assert!(refused.contains("checkpoint"), "{refused}");
    Ok(())
}

#[test]
fn what_a_draft_takes_is_planned_exactly() -> Result<()> {
    let device = Device::builder().build()?;
    let pipeline = builder(&device).draft_decoder(golden_path("tiny_decoder/taew2_1.safetensors")).build()?;
    let plan = request(&pipeline)?.previews(false).plan()?;
    device.reset_peak();
    request(&pipeline)?.previews(false).start()?.try_for_each(|event| event.map(drop))?;
    assert_eq!(device.memory_use().peak, plan.peak());
    drop(pipeline);
    let streamed =
        builder(&device).draft_decoder(golden_path("tiny_decoder/taew2_1.safetensors")).memory_budget(MemoryBudget::bytes(1 << 20));
    let budget = crate::common::named_budget(request(&streamed.build()?)?.plan());
    assert!(budget > 1 << 20);
    Ok(())
}

#[test]
fn one_for_another_autoencoder_is_refused() -> Result<()> {
    let device = Device::builder().build()?;
    let wrong = builder(&device).draft_decoder(golden_path("tiny_decoder/taew2_2.safetensors")).build().expect_err("48 channels");
    assert!(wrong.to_string().contains("taew2_1 goes with VAE 2.1"), "{wrong}");
    let wrong = builder(&device).vae(golden_path("tiny_decoder/taew2_1.safetensors")).build().expect_err("no VAE");
    assert!(wrong.to_string().contains("give it as `preview_decoder` or `draft_decoder`"), "{wrong}");
    Ok(())
}
