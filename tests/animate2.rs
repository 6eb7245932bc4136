//! Whole runs of Animate-2 against goldens of diffusers' modular pipeline, from the same files, noise and seed.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Golden, difference, golden_path};
use serde_json::Value;
use wan_animate::video::{Frames, open_image};
use wan_animate::{
    Animate2Pipeline, Animate2Request, Animate2Variant, Device, Error, Event, Latents, MemoryBudget, Precision, Result, State,
    VideoPipeline,
};

/// Mean and largest difference of frames in [0, 1]. The reference itself is as far as 4.8e-5 from its run in f64: a carried frame's rounding grows
/// twentyfold in the VAE's encoder.
const F32: (f64, f64) = (5e-6, 2e-4);
/// Operands of 11 bits through the same.
const F16: (f64, f64) = (3e-3, 0.1);

struct Run {
    folder: PathBuf,
    settings: Value,
}

impl Run {
    fn open(name: &str) -> Self {
        let folder = golden_path("animate2/runs").join(name);
        let settings = serde_json::from_slice(&fs::read(folder.join("run.json")).expect("run.json")).expect("valid");
        Self { folder, settings }
    }

    fn number(&self, key: &str) -> f64 {
        self.settings[key].as_f64().unwrap_or_else(|| panic!("{key}"))
    }

    fn input(&self, key: &str) -> PathBuf {
        golden_path("animate2").join(self.settings[key].as_str().expect("a path"))
    }

    fn request(&self, pipeline: &Animate2Pipeline) -> Result<Animate2Request> {
        let all = Frames::open(self.input("driving"))?;
        let images = (0..self.number("num_frames") as usize).map(|i| all.read(i)).collect::<Result<Vec<_>>>()?;
        let driving = Frames::from_images(images)?.with_fps(self.number("driving_video_fps"))?;
        let text = |key: &str| self.settings[key].as_str().expect("a text");
        Ok(pipeline
            .animate(open_image(self.input("reference"))?, &driving, text("prompt"))
            .negative_prompt(text("negative_prompt"))
            .size(self.number("width") as u32, self.number("height") as u32)
            .num_inference_steps(self.number("num_inference_steps") as usize)
            .guidance_scale(self.number("guidance_scale"))
            .segment_frames(self.number("segment_frame_length") as usize)
            .log_scale(self.number("log_scale") as f32)
            .skip_block(self.settings["skip_block"].as_bool().expect("skip_block"))
            .seed(self.number("seed") as u64))
    }
}

/// The checkpoint, with the index of a kind.
fn checkpoint(kind: &str, scratch: &Path) -> PathBuf {
    let base = golden_path("animate2/base");
    if kind == "base" {
        return base;
    }
    copy(&base, scratch);
    fs::copy(golden_path("animate2/distilled.json"), scratch.join("modular_model_index.json")).expect("written");
    scratch.into()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("created");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &target) } else { fs::copy(entry.path(), target).map(drop).expect("copied") }
    }
}

fn load(folder: &Path, precision: Precision) -> Result<Animate2Pipeline> {
    Animate2Pipeline::builder(&Device::builder().shader_checks(true).build()?).checkpoint(folder).precision(precision).build()
}

fn collect(request: Animate2Request) -> Result<Vec<f32>> {
    let mut samples = Vec::new();
    for event in request.start()? {
        if let Event::Frame(frame) = event? {
            samples.extend_from_slice(frame.samples());
        }
    }
    Ok(samples)
}

fn check(name: &str, precision: Precision, (mean_bound, most_bound): (f64, f64)) {
    let (run, scratch) = (Run::open(name), tempfile::tempdir().expect("a folder"));
    let pipeline = load(&checkpoint(run.settings["checkpoint"].as_str().expect("a name"), scratch.path()), precision).expect("loads");
    let noise = Latents::read_segments(run.folder.join("noise.safetensors")).expect("noise");
    let got = collect(run.request(&pipeline).expect("inputs").noise(noise)).expect("runs");
    let golden = Golden::read(&run.folder.join("expected.safetensors"));
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

runs! { base every_block distilled log_scale resampled }

/// Whatever the budget, the driving video is kept otherwise and blocks are streamed: the same bits, and never more memory than was planned.
#[test]
fn any_budget_gives_the_same_bits() {
    let run = Run::open("base");
    let folder = golden_path("animate2/base");
    let whole = collect(run.request(&load(&folder, Precision::F32).expect("loads")).expect("inputs")).expect("runs");
    let make = |bytes: u64| -> Result<(Vec<f32>, u64, u64)> {
        let device = Device::builder().shader_checks(true).build()?;
        let pipeline =
            Animate2Pipeline::builder(&device).checkpoint(&*folder).precision(Precision::F32).memory_budget(MemoryBudget::bytes(bytes));
        let pipeline = pipeline.build()?;
        let request = run.request(&pipeline)?;
        let planned = pipeline.plan(&request)?.peak();
        device.reset_peak();
        Ok((collect(request)?, planned, device.memory_use().peak))
    };
    let smallest = match make(1 << 20) {
        Err(Error::Limits { smallest: Some(smallest), .. }) => smallest,
        Err(Error::Limits { needed: Some(needed), .. }) => match make(needed + (1 << 18)) {
            Err(Error::Limits { smallest: Some(smallest), .. }) => smallest,
            other => panic!("{:?}", other.map(|made| made.1)),
        },
        other => panic!("{:?}", other.map(|made| made.1)),
    };
    for more in [0, smallest / 16, smallest / 4, smallest] {
        let (frames, planned, measured) = make(smallest + more).expect("runs");
        println!("budget {}: planned {planned}, measured {measured}", smallest + more);
        // A plan counts blocks that stay from one generation to the next from its beginning on.
        assert!(measured <= planned, "planned {planned}, measured {measured} with {} bytes", smallest + more);
        assert!(more > 0 || measured == planned, "planned {planned}, measured {measured}");
        assert!(frames == whole, "other bits with {} bytes", smallest + more);
    }
}

#[test]
fn a_killed_run_goes_on_with_the_same_bytes() {
    let run = Run::open("base");
    let pipeline = load(&golden_path("animate2/base"), Precision::F32).expect("loads");
    let whole = collect(run.request(&pipeline).expect("inputs")).expect("runs");
    let mut generation = run.request(&pipeline).expect("inputs").start().expect("starts");
    let (mut before, mut steps) = (Vec::new(), 0);
    while steps < 4 {
        match generation.next().expect("there are five steps").expect("runs") {
            Event::Step(_) => steps += 1,
            Event::Frame(frame) => before.extend_from_slice(frame.samples()),
            _ => {}
        }
    }
    let bytes = generation.state().to_bytes();
    drop(generation);
    let state = State::open(wan_animate::Location::file("state", bytes)).expect("a state");
    before.extend(collect(run.request(&pipeline).expect("inputs").resume(state)).expect("runs"));
    assert!(before == whole);
}

#[test]
fn which_model_it_is_is_never_guessed() {
    let scratch = tempfile::tempdir().expect("a folder");
    copy(&golden_path("animate2/base"), scratch.path());
    let device = Device::builder().build().expect("a device");
    let builder = || Animate2Pipeline::builder(&device).checkpoint(scratch.path());
    assert_eq!(builder().build().expect("loads").variant(), Animate2Variant::Base);
    let error = builder().variant(Animate2Variant::Distilled).build().expect_err("the index says another");
    assert!(error.to_string().contains("the index says animate-2"), "{error}");
    let error = VideoPipeline::builder(&device).checkpoint(scratch.path()).build().expect_err("another pipeline's");
    assert!(error.to_string().contains("Animate2Pipeline"), "{error}");
    let index = scratch.path().join("modular_model_index.json");
    let text = fs::read_to_string(&index).expect("an index").replace("WanAnimate2Blocks", "MyBlocks");
    fs::write(&index, text).expect("written");
    let error = builder().build().expect_err("it is not said");
    assert!(error.to_string().contains("variant"), "{error}");
    assert_eq!(builder().variant(Animate2Variant::Distilled).build().expect("loads").variant(), Animate2Variant::Distilled);
}
