//! Whole runs of Animate-2 against goldens of diffusers' modular pipeline, from the same files, noise and seed.

#[path = "../../examples/cli/mod.rs"]
mod cli;

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{Golden, difference, golden_path};
use clap::Parser;
use serde_json::Value;
use wan_animate::video::{Frames, open_image};
use wan_animate::{
    Animate2Pipeline, Animate2Request, Animate2Variant, Device, DrivingCache, Error, Event, Latents, Lora, MemoryBudget, Plan, Precision,
    Preset, Result, State, VideoPipeline,
};

/// Mean and largest difference of frames in [0, 1]. The reference itself is as far as 4.8e-5 from its run in f64: a carried frame's rounding grows
/// twentyfold in the VAE's encoder.
const F32: (f64, f64) = (5e-6, 2e-4);
/// Operands of 11 bits through the same.
const F16: (f64, f64) = (3e-3, 0.1);

/// Of a driving video that is kept in 8 bits, from the exact one.
const EIGHT_BITS: (f64, f64) = (1e-3, 0.03);

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

fn check(name: &str, precision: Precision, (mean_bound, most_bound): (f64, f64)) -> Vec<f32> {
    let (run, scratch) = (Run::open(name), tempfile::tempdir().expect("a folder"));
    let pipeline = load(&checkpoint(run.settings["checkpoint"].as_str().expect("a name"), scratch.path()), precision).expect("loads");
    let noise = Latents::read_segments(run.folder.join("noise.safetensors")).expect("noise");
    let got = collect(run.request(&pipeline).expect("inputs").noise(noise)).expect("runs");
    let golden = Golden::read(&run.folder.join("expected.safetensors"));
    let (mean, most) = difference(&got, golden.values("frames"));
    println!("{name} {precision:?}: mean {mean:.2e}, largest {most:.2e}");
    assert!(mean <= mean_bound && most <= most_bound, "{name} in {precision:?}: mean {mean:.3e}, largest {most:.3e}");
    got
}

macro_rules! runs {
    ($($name:ident)*) => {
        mod f32 { $( #[test] fn $name() { super::check(stringify!($name), super::Precision::F32, super::F32); } )* }
        mod f16 { $( #[test] fn $name() { super::check(stringify!($name), super::Precision::F16, super::F16); } )* }
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

/// The smallest budget, to some KiB, of which a plan `is` so; every larger one is.
fn smallest(request: &Animate2Request, is: impl Fn(&Plan) -> bool) -> u64 {
    let plan = |bytes: u64| request.clone().memory_budget(MemoryBudget::bytes(bytes)).plan();
    let (mut below, mut enough) = (0, request.plan().expect("a plan").peak());
    while enough - below > 4 << 10 {
        let middle = below + (enough - below) / 2;
        match plan(middle).is_ok_and(|plan| is(&plan)) {
            true => enough = middle,
            false => below = middle,
        }
    }
    enough
}

/// At the smallest budget for each way of keeping the driving video: that way, the bits of a run without a budget, and the peak of the plan. The
/// video is so long that it takes more than the prompts' keys.
fn check_caches(quantizes: bool, caches: &[DrivingCache]) {
    let (run, folder) = (Run::open("distilled"), golden_path("animate2/base"));
    let all = Frames::open(run.input("driving")).expect("frames");
    let driving = Frames::from_images((0..49).map(|i| all.read(i % 18).expect("a frame"))).expect("a video");
    let reference = open_image(run.input("reference")).expect("an image");
    let request = |pipeline: &Animate2Pipeline| {
        let request = pipeline.animate(&reference, &driving, "a person").guidance_scale(1.0);
        request.num_inference_steps(1).size(96, 96).segment_frames(49).quantize_driving(quantizes)
    };
    let whole = load(&folder, Precision::F32).expect("loads");
    let plan = request(&whole).plan().expect("a plan");
    assert_eq!((plan.driving_cache(), plan.driving_host()), (caches.last().copied(), 0));
    let frames = collect(request(&whole)).expect("runs");
    let mut hosts = Vec::new();
    for &cache in caches {
        let budget = smallest(&request(&whole), |plan| plan.driving_cache() <= Some(cache) && plan.keeps_keys());
        let device = Device::builder().shader_checks(true).build().expect("a device");
        let builder = Animate2Pipeline::builder(&device).checkpoint(&*folder).precision(Precision::F32);
        let pipeline = builder.memory_budget(MemoryBudget::bytes(budget)).build().expect("loads");
        let plan = pipeline.plan(&request(&pipeline)).expect("a plan");
        println!("{cache:?}: {budget} bytes\n{plan}\n");
        assert_eq!(plan.driving_cache(), Some(cache));
        device.reset_peak();
        assert!(collect(request(&pipeline)).expect("runs") == frames, "other bits with {cache:?}");
        assert_eq!(device.memory_use().peak, plan.peak(), "{cache:?}");
        hosts.push(plan.driving_host());
    }
    // 11 blocks of 13 frames of 28 tokens of 24 numbers, or bytes with a scale.
    assert!(hosts[0] == 11 * 13 * 28 * if quantizes { 24 + 4 } else { 24 * 4 } && hosts[1..].iter().all(|&bytes| bytes == 0), "{hosts:?}");
}

#[test]
fn each_way_of_keeping_the_driving_video_gives_the_same_bits_within_its_budget() {
    check_caches(false, &[DrivingCache::Host, DrivingCache::Inputs, DrivingCache::Keys]);
}

#[test]
fn each_way_of_keeping_the_driving_video_in_8_bits_gives_the_same_bits_within_its_budget() {
    check_caches(true, &[DrivingCache::Host, DrivingCache::Inputs]);
}

#[test]
fn a_driving_video_in_8_bits_is_near_the_exact_one() {
    let run = Run::open("base");
    let pipeline = load(&golden_path("animate2/base"), Precision::F32).expect("loads");
    let frames = |quantizes| collect(run.request(&pipeline).expect("inputs").quantize_driving(quantizes)).expect("runs");
    let (mean, most) = difference(&frames(true), &frames(false));
    println!("in 8 bits: mean {mean:.2e}, largest {most:.2e}");
    assert!(mean > 0.0 && mean <= EIGHT_BITS.0 && most <= EIGHT_BITS.1, "mean {mean:.3e}, largest {most:.3e}");
}

/// What Animate-2 is on its own: steps, guidance and scores of the official release.
#[test]
fn each_variant_has_its_presets() {
    let run = Run::open("base");
    for (variant, steps, guidance, log_scale) in [(Animate2Variant::Base, 40, 3.0, 0.0), (Animate2Variant::Distilled, 10, 1.0, -1.3)] {
        let scratch = tempfile::tempdir().expect("a folder");
        let name = if variant == Animate2Variant::Base { "base" } else { "distilled" };
        let pipeline = load(&checkpoint(name, scratch.path()), Precision::F32).expect("loads");
        assert_eq!(pipeline.variant(), variant);
        let driving = Frames::open(run.input("driving")).expect("a video");
        let reference = open_image(run.input("reference")).expect("an image");
        let request = || pipeline.animate(&reference, &driving, "a person").size(48, 48).num_frames(9).segment_frames(9);
        assert_eq!(request().start().expect("starts").num_steps(), steps);
        let few = || request().num_inference_steps(2);
        let official = collect(few()).expect("runs");
        assert!(official == collect(few().guidance_scale(guidance).log_scale(log_scale).skip_block(true)).expect("runs"), "{variant}");
        assert!(official != collect(few().guidance_scale(guidance).log_scale(-0.5)).expect("runs"), "{variant}");
    }
}

/// A change of rank 1 to one matrix.
fn lora(path: &Path) -> Lora {
    let (down, up) = ([0.3f32; 24], [0.2f32; 24]);
    let tensors = [("lora_A", vec![1, 24], bytemuck::cast_slice(&down)), ("lora_B", vec![24, 1], bytemuck::cast_slice::<f32, u8>(&up))];
    let views = tensors.map(|(name, shape, bytes)| {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, bytes).expect("a tensor");
        (format!("blocks.1.attn1.to_v.{name}.weight"), view)
    });
    safetensors::serialize_to_file(views, None, path).expect("written");
    Lora::open(path).expect("opens")
}

#[test]
fn a_few_step_lora_has_its_preset() {
    let (run, scratch) = (Run::open("base"), tempfile::tempdir().expect("a folder"));
    let lora = lora(&scratch.path().join("lora.safetensors"));
    let device = Device::builder().shader_checks(true).build().expect("a device");
    let builder = || Animate2Pipeline::builder(&device).checkpoint(golden_path("animate2/base")).precision(Precision::F32);
    let changed = builder().lora(lora).build().expect("loads");
    let preset = |pipeline: &Animate2Pipeline| run.request(pipeline).expect("inputs").num_frames(9).preset(Preset::Animate2Six);
    let generation = preset(&changed).start().expect("starts");
    assert_eq!(generation.num_steps(), 6);
    let frames = collect(preset(&changed)).expect("runs");
    let sigmas = [1.0, 25.0 / 26.0, 10.0 / 11.0, 5.0 / 6.0, 5.0 / 7.0, 0.5];
    let explicit = run.request(&changed).expect("inputs").num_frames(9).guidance_scale(1.0);
    let explicit = explicit.scheduler(wan_animate::Scheduler::Lcm).shift(5.0).num_inference_steps(6).sigmas(&sigmas[..]);
    assert!(frames == collect(explicit).expect("runs"));
    assert!(frames != collect(preset(&builder().build().expect("loads"))).expect("runs"), "the LoRA makes a difference");
}

/// As with every pipeline: the next video has the next seed, and shares what the first was shown; estimates come after each step.
#[test]
fn seeds_and_previews() {
    let run = Run::open("base");
    let pipeline = load(&golden_path("animate2/base"), Precision::F32).expect("loads");
    let request = || run.request(&pipeline).expect("inputs").num_frames(9).num_inference_steps(2);
    let seed = run.number("seed") as u64;
    let [first, second] = [seed, seed + 1].map(|seed| collect(request().seed(seed)).expect("runs"));
    assert!(first != second);
    let (mut both, mut previews) = (Vec::new(), 0);
    for event in request().num_videos(2).previews(true).start().expect("starts") {
        match event.expect("runs") {
            Event::Frame(frame) => both.extend_from_slice(frame.samples()),
            Event::Preview(latents) => {
                previews += 1;
                let pictures = latents.to_rgb().expect("latents of the published VAE's kind");
                assert!(!pictures.is_empty() && pictures.iter().all(|picture| picture.width() < picture.height()));
            }
            _ => {}
        }
    }
    assert_eq!(previews, 4);
    assert!(both == [first, second].concat());
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    arguments: cli::Animate2Arguments,
}

/// The example's command line: a folder, and single files, of which it must be said what they are.
#[test]
fn the_example_makes_a_video() {
    let scratch = tempfile::tempdir().expect("a folder");
    let path = |name: &str| golden_path("animate2").join(name).display().to_string();
    let (out, state) = (scratch.path().join("out"), scratch.path().join("state"));
    let run = |model: &[String]| {
        let inputs =
            ["--reference", &path("inputs/tall.png"), "--video", &path("inputs/driving"), "--prompt", "a person"].map(String::from);
        let sizes = ["--width", "48", "--height", "48", "--segment-frames", "9", "--num-frames", "6", "--steps", "1"].map(String::from);
        let places = ["--out", &out.display().to_string(), "--state", &state.display().to_string()].map(String::from);
        let line = [&["animate2".into()], model, &inputs, &sizes, &places].concat();
        cli::run_animate2(&Line::try_parse_from(line).expect("parses").arguments)
    };
    run(&["--model".into(), path("base")]).expect("runs");
    let made = fs::read_dir(&out).expect("a folder").count();
    assert_eq!((made, state.exists()), (6, false));
    // As high as the reference is wide to high, without the bars beside it.
    let first = fs::read_dir(&out).expect("a folder").flatten().map(|file| file.path()).min().expect("a frame");
    assert_eq!(open_image(first).expect("an image").dimensions(), (28, 48));
    let part = |option: &str, folder: &str| [format!("--{option}"), path(&format!("base/{folder}"))];
    let parts = [("transformer", "transformer"), ("text-encoder", "text_encoder"), ("tokenizer", "tokenizer"), ("vae", "vae")];
    let mut files: Vec<_> = parts.iter().flat_map(|(option, folder)| part(option, folder)).collect();
    files.extend(part("image-encoder", "image_encoder"));
    let error = run(&files).expect_err("which model is not said").to_string();
    assert!(error.contains("do not tell") && error.contains("--variant animate-2, or animate-2-distilled"), "{error}");
    files.extend(["--variant".into(), "animate-2-distilled".into(), "--quantize-driving".into()]);
    run(&files).expect("runs");
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
