//! Whole runs against goldens of diffusers' `WanAnimatePipeline`, from the same files, noise and seed.

use std::path::Path;

use crate::common::{Golden, difference, golden_path};
use image::RgbImage;
use serde_json::Value;
use wan_animate::video::{Frames, Motion, Scene, open_image};
use wan_animate::{AnimatePipeline, AnimateRequest, Device, Event, Latents, Precision, Result};

/// Mean and largest difference of frames in [0, 1]: what f32 rounding adds up to over a few steps, the reference's own included.
const F32: (f64, f64) = (5e-5, 2e-3);
/// Operands of 11 bits through the same.
const F16: (f64, f64) = (3e-3, 0.1);

struct Run {
    name: &'static str,
    settings: Value,
}

impl Run {
    fn open(name: &'static str) -> Self {
        let text = std::fs::read(golden_path("runs").join(name).join("run.json")).expect("run.json");
        Self { name, settings: serde_json::from_slice(&text).expect("valid") }
    }

    fn number(&self, key: &str) -> usize {
        self.settings[key].as_u64().unwrap_or_else(|| panic!("{key}")) as usize
    }

    fn text(&self, key: &str) -> &str {
        self.settings[key].as_str().unwrap_or_else(|| panic!("{key}"))
    }

    fn video(&self, key: &str) -> Result<Frames> {
        let frames = Frames::open(golden_path(self.text(key)))?;
        Frames::from_images((0..self.number("num_frames")).map(|i| frames.read(i)).collect::<Result<Vec<_>>>()?)
    }

    fn pipeline(&self, precision: Precision) -> Result<AnimatePipeline> {
        let device = Device::builder().shader_checks(true).build()?;
        AnimatePipeline::builder(&device).checkpoint(golden_path(self.text("checkpoint"))).precision(precision).build()
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        golden_path("runs").join(self.name).join(name)
    }

    fn settle(&self, request: AnimateRequest) -> AnimateRequest {
        request
            .size(self.number("width") as u32, self.number("height") as u32)
            .prompt(self.text("prompt"))
            .negative_prompt(self.text("negative_prompt"))
            .num_inference_steps(self.number("num_inference_steps"))
            .guidance_scale(self.settings["guidance_scale"].as_f64().expect("a number"))
            .segment_frames(self.number("segment_frame_length"))
            .overlap(self.number("prev_segment_conditioning_frames"))
            .seed(self.number("seed") as u64)
    }

    /// All frames after one another.
    fn frames(&self, precision: Precision, change: impl Fn(AnimateRequest) -> AnimateRequest) -> Result<Vec<f32>> {
        let pipeline = self.pipeline(precision)?;
        let reference: RgbImage = open_image(golden_path(self.text("reference")))?;
        let motion = Motion::new(self.video("pose")?, self.video("face")?)?;
        if self.text("mode") == "animate" {
            return collect(change(self.settle(pipeline.animate(&reference, &motion))));
        }
        let scene = Scene::new(motion, self.video("background")?, self.video("mask")?)?;
        collect(change(self.settle(pipeline.replace(&reference, &scene))))
    }
}

fn collect(request: AnimateRequest) -> Result<Vec<f32>> {
    let mut samples = Vec::new();
    for event in request.start()? {
        if let Event::Frame(frame) = event? {
            samples.extend_from_slice(frame.samples());
        }
    }
    Ok(samples)
}

fn noise(file: &Path) -> Vec<Latents> {
    Latents::read_segments(file).expect("noise")
}

fn check(name: &'static str, precision: Precision, (mean_bound, most_bound): (f64, f64)) {
    let run = Run::open(name);
    let noise = noise(&run.file("noise.safetensors"));
    let got = run.frames(precision, |request| request.noise(noise.clone())).expect("runs");
    let golden = Golden::read(&run.file("expected.safetensors"));
    let (mean, most) = difference(&got, golden.values("frames"));
    println!("{name} {precision:?}: mean {mean:.2e}, largest {most:.2e}");
    assert!(mean <= mean_bound && most <= most_bound, "{name} in {precision:?}: mean {mean:.3e}, largest {most:.3e}");
}

macro_rules! runs {
    ($($name:ident)*) => {
        mod f32 { $( #[test] fn $name() { super::check(stringify!($name), super::Precision::F32, super::F32) } )* }
        mod f16 { $( #[test] fn $name() { super::check(stringify!($name), super::Precision::F16, super::F16) } )* }
    };
}

runs! { animate animate_guidance animate_overlap_5 animate_resized odd_animate odd_replace_overlap_5 replace sharded_animate }
