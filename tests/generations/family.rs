//! Whole runs against goldens of diffusers' `WanPipeline` and `WanImageToVideoPipeline`, from the same files, noise and seed.

use crate::common::{Golden, difference, golden_path};
use image::RgbImage;
use serde_json::Value;
use wan_animate::video::open_image;
use wan_animate::{Device, Error, Event, Expert, Latents, Precision, Preset, Result, Scheduler, Stage, VideoPipeline, VideoRequest};

/// Mean and largest difference of frames in [0, 1]: what f32 rounding adds up to over a few steps, the reference's own included.
const F32: (f64, f64) = (5e-5, 2e-3);
/// Operands of 11 bits through the same.
const F16: (f64, f64) = (3e-3, 0.1);

struct Run {
    settings: Value,
    noise: Vec<Latents>,
    expected: Golden,
    images: Vec<RgbImage>,
}

impl Run {
    fn open(name: &str) -> Self {
        let folder = golden_path("family/runs").join(name);
        let settings: Value = serde_json::from_slice(&std::fs::read(folder.join("run.json")).expect("run.json")).expect("valid");
        let image = |key: &str| settings[key].as_str().map(|file| open_image(golden_path("family").join(file)).expect("an image"));
        Self {
            noise: Latents::read_segments(folder.join("noise.safetensors")).expect("noise"),
            expected: Golden::read(&folder.join("expected.safetensors")),
            images: ["image", "last_image"].into_iter().filter_map(image).collect(),
            settings,
        }
    }

    fn number(&self, key: &str) -> usize {
        self.settings[key].as_u64().unwrap_or_else(|| panic!("{key}")) as usize
    }

    fn checkpoint(&self) -> &str {
        self.settings["checkpoint"].as_str().expect("a name")
    }

    fn request(&self, pipeline: &VideoPipeline) -> VideoRequest {
        let prompt = self.settings["prompt"].as_str().expect("a prompt");
        let mut request = match self.images.first() {
            Some(image) => pipeline.image_to_video(image, prompt),
            None => pipeline.text_to_video(prompt),
        };
        if let Some(last) = self.images.get(1) {
            request = request.last_image(last);
        }
        if let Some(scale) = self.settings["guidance_scale_2"].as_f64() {
            request = request.guidance_scale_2(scale);
        }
        request
            .negative_prompt(self.settings["negative_prompt"].as_str().unwrap_or(""))
            .size(self.number("width") as u32, self.number("height") as u32)
            .num_frames(self.number("num_frames"))
            .num_inference_steps(self.number("num_inference_steps"))
            .guidance_scale(self.settings["guidance_scale"].as_f64().expect("a number"))
            .seed(self.number("seed") as u64)
    }
}

fn load(checkpoint: &str, precision: Precision, memory_limit: Option<u64>) -> Result<(VideoPipeline, Device)> {
    let mut builder = Device::builder();
    if let Some(bytes) = memory_limit {
        builder = builder.memory_limit(bytes);
    }
    let device = builder.build()?;
    let pipeline = VideoPipeline::builder(&device).checkpoint(golden_path("family").join(checkpoint)).precision(precision).build()?;
    Ok((pipeline, device))
}

/// All frames after one another, and what happened beside them.
fn collect(request: VideoRequest) -> Result<(Vec<f32>, Vec<Event>)> {
    let (mut samples, mut events) = (Vec::new(), Vec::new());
    for event in request.start()? {
        match event? {
            Event::Frame(frame) => samples.extend_from_slice(frame.samples()),
            other => events.push(other),
        }
    }
    Ok((samples, events))
}

fn check(name: &str, precision: Precision, (mean_bound, most_bound): (f64, f64)) {
    let run = Run::open(name);
    let (pipeline, _) = load(run.checkpoint(), precision, None).expect("loads");
    let (got, events) = collect(run.request(&pipeline).noise(run.noise.clone())).expect("runs");
    let (mean, most) = difference(&got, run.expected.values("frames"));
    println!("{name} {precision:?}: mean {mean:.2e}, largest {most:.2e}");
    assert!(mean <= mean_bound && most <= most_bound, "{name} in {precision:?}: mean {mean:.3e}, largest {most:.3e}");
    check_experts(&run, &events);
}

/// Each step was made by the transformer that diffusers gave it, and every change of hands was told before.
fn check_experts(run: &Run, events: &[Event]) {
    let two = run.checkpoint() == "t2v" || run.checkpoint() == "i2v";
    let wanted = run.expected.integers("experts").into_iter().map(|index| match (two, index) {
        (false, _) => None,
        (true, 0) => Some(Expert::HighNoise),
        (true, _) => Some(Expert::LowNoise),
    });
    let mut on_duty = None;
    let mut steps = Vec::new();
    for event in events {
        match event {
            Event::Stage(Stage::Switching { expert }) => {
                assert_ne!(on_duty, Some(*expert), "an expert took over from itself");
                on_duty = Some(*expert);
            }
            Event::Step(step) => {
                assert_eq!(step.expert, on_duty);
                steps.push(step.expert);
            }
            _ => {}
        }
    }
    assert_eq!(steps, wanted.collect::<Vec<_>>());
    if two {
        assert!(steps.contains(&Some(Expert::HighNoise)) && steps.contains(&Some(Expert::LowNoise)), "a golden without both experts");
    }
}

macro_rules! runs {
    ($($name:ident)*) => {
        mod f32 { $( #[test] fn $name() { super::check(stringify!($name), super::Precision::F32, super::F32) } )* }
        mod f16 { $( #[test] fn $name() { super::check(stringify!($name), super::Precision::F16, super::F16) } )* }
    };
}

runs! { t2v t2v_unguided i2v i2v_last i2v_clip flf_clip ti2v ti2v_image }

#[test]
fn the_seed_draws_the_noise_of_the_reference() {
    let run = Run::open("ti2v_image");
    let (pipeline, _) = load("ti2v", Precision::F32, None).expect("loads");
    let (drawn, _) = collect(run.request(&pipeline)).expect("runs");
    let (given, _) = collect(run.request(&pipeline).noise(run.noise.clone())).expect("runs");
    // The reference computes the noise's logarithms and cosines in f32, so the last bit may differ.
    let (mean, most) = difference(&drawn, &given);
    assert!(mean <= F32.0 && most <= F32.1, "mean {mean:.3e}, largest {most:.3e}");
}

#[test]
fn one_expert_at_a_time_stays_within_the_limit() {
    let run = Run::open("t2v");
    let (pipeline, device) = load("t2v", Precision::F32, None).expect("loads");
    let (both, _) = collect(run.request(&pipeline).num_videos(2)).expect("runs");
    let peak = device.memory_use().peak;
    drop(pipeline);
    // Less than both need, by half the weights of an expert.
    let limit = peak - expert_bytes() / 2;
    let (pipeline, device) = load("t2v", Precision::F32, Some(limit)).expect("loads");
    let (one, events) = collect(run.request(&pipeline).num_videos(2)).expect("runs");
    assert!(device.memory_use().peak <= limit);
    assert!(one == both, "who is resident changes nothing");
    let switches = events.iter().filter(|event| matches!(event, Event::Stage(Stage::Switching { .. }))).count();
    assert_eq!(switches, 4, "each of two videos begins with the high-noise expert");
}

fn expert_bytes() -> u64 {
    let file = golden_path("family/t2v/transformer_2/diffusion_pytorch_model.safetensors");
    std::fs::metadata(file).expect("a file").len()
}

#[test]
fn previews_are_latents_of_the_video() {
    let run = Run::open("ti2v_image");
    let (pipeline, _) = load("ti2v", Precision::F32, None).expect("loads");
    let (_, events) = collect(run.request(&pipeline).previews(true)).expect("runs");
    let previews = events.iter().filter_map(|event| match event {
        Event::Preview(latents) => Some(latents),
        _ => None,
    });
    let shapes: Vec<_> = previews.map(|preview| preview.shape).collect();
    assert_eq!(shapes, vec![run.noise[0].shape; run.number("num_inference_steps")]);
}

#[test]
fn presets_set_steps_levels_and_guidance() {
    let run = Run::open("t2v");
    let (pipeline, _) = load("t2v", Precision::F32, None).expect("loads");
    let request = || pipeline.text_to_video("a cat").size(16, 16).num_frames(1);
    let (_, events) = collect(request().preset(Preset::Lightning)).expect("runs");
    let steps = events.iter().filter_map(|event| match event {
        Event::Step(step) => Some((step.sigma, step.expert)),
        _ => None,
    });
    let (sigmas, experts): (Vec<_>, Vec<_>) = steps.unzip();
    for (got, wanted) in sigmas.iter().zip([1.0, 0.9375, 0.83333, 0.625]) {
        assert!((got - wanted).abs() < 1e-5, "{sigmas:?}");
    }
    let levels: [(Preset, &[f64]); 4] = [
        (Preset::Animate6, &[1.0, 0.96154, 0.90909, 0.83333, 0.71429, 0.5]),
        (Preset::Animate6Comfy, &[1.0, 0.97561, 0.94118, 0.88889, 0.8, 0.61538]),
        (Preset::Animate2Six, &[1.0, 0.96154, 0.90909, 0.83333, 0.71429, 0.5]),
        (Preset::Animate4, &[1.0, 0.9375, 0.83333, 0.625]),
    ];
    for (preset, wanted) in levels {
        let (_, events) = collect(request().preset(preset)).expect("runs");
        let sigmas = events.iter().filter_map(|event| if let Event::Step(step) = event { Some(step.sigma) } else { None });
        let sigmas: Vec<f64> = sigmas.collect();
        assert!(sigmas.len() == wanted.len() && sigmas.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-5), "{preset}: {sigmas:?}");
        assert!(preset.loras().iter().all(|(file, strength)| file.contains(".safetensors") && *strength > 0.0), "{preset}");
    }
    let (high, low) = (Some(Expert::HighNoise), Some(Expert::LowNoise));
    assert_eq!(experts, [high, high, low, low]);
    assert_eq!(request().preset(Preset::CausVid).start().expect("starts").num_steps(), 12);
    let listed = run.request(&pipeline).num_inference_steps(2).scheduler(Scheduler::Euler).timesteps([900.0, 500.0]);
    assert_eq!(listed.start().expect("starts").num_steps(), 2);
}

/// Whatever is wrong with a request is said, before any work.
#[test]
fn impossible_requests_are_refused() {
    let image = RgbImage::new(20, 20);
    let (t2v, _) = load("t2v", Precision::F16, None).expect("loads");
    let (ti2v, _) = load("ti2v", Precision::F16, None).expect("loads");
    let (i2v, _) = load("i2v", Precision::F16, None).expect("loads");
    let (clip, _) = load("i2v_clip", Precision::F16, None).expect("loads");
    let (flf, _) = load("flf_clip", Precision::F16, None).expect("loads");
    let text = || t2v.text_to_video("a cat").size(32, 32).num_frames(5);
    let refused = [
        ("4n + 1", text().num_frames(8)),
        ("4n + 1", text().num_frames(0)),
        ("multiples of 16", text().size(24, 32)),
        ("multiples of 32", ti2v.text_to_video("a cat").size(48, 32).num_frames(5)),
        ("text alone", t2v.image_to_video(&image, "a cat").size(32, 32)),
        ("begins with", i2v.text_to_video("a cat").size(32, 32)),
        ("last image", t2v.text_to_video("a cat").last_image(&image)),
        ("last image", ti2v.image_to_video(&image, "a cat").last_image(&image)),
        ("FLF2V", clip.image_to_video(&image, "a cat").last_image(&image)),
        ("last image", flf.image_to_video(&image, "a cat")),
        ("one frame", i2v.image_to_video(&image, "a cat").last_image(&image).num_frames(1)),
        ("two experts", ti2v.text_to_video("a cat").guidance_scale_2(3.0)),
        ("guidance scale", text().guidance_scale(f64::NAN)),
        ("guidance scale", text().guidance_scale_2(-1.0)),
        ("0 videos", text().num_videos(0)),
        ("steps", text().num_inference_steps(3).sigmas([1.0, 0.5])),
        ("noise", text().noise(vec![Latents::new([16, 2, 4, 5], vec![0.0; 640]).expect("640 values")])),
    ];
    for (words, request) in refused {
        match request.start() {
            Err(Error::Input(message)) => assert!(message.contains(words), "`{message}` does not say `{words}`"),
            Err(other) => panic!("{words}: {other}"),
            Ok(_) => panic!("{words}: not refused"),
        }
    }
}

#[test]
fn other_pipelines_checkpoints_name_the_right_one() {
    let device = Device::builder().build().expect("an adapter");
    let error = VideoPipeline::builder(&device).checkpoint(golden_path("tiny")).build().expect_err("an Animate checkpoint");
    assert!(error.to_string().contains("`animate`"), "{error}");
    let folder = golden_path("family/i2v");
    let error = wan_animate::AnimatePipeline::builder(&device).checkpoint(folder).build().expect_err("an I2V checkpoint");
    assert!(error.to_string().contains("`i2v`"), "{error}");
}
