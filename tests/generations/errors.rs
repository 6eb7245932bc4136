//! What is wrong with a checkpoint or a request is said at once, with the file, tensor or setting at fault.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::golden_path;
use image::RgbImage;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize_to_file};
use serde_json::{Value, json};
use tempfile::TempDir;
use wan_animate::video::{FrameSource, Frames, Motion};
use wan_animate::{AnimatePipeline, AnimateRequest, Device, Error, Event, Latents, Precision, Result, Stage, VaeTiling};

const PARTS: [(&str, &str); 4] = [
    ("transformer", "diffusion_pytorch_model.safetensors"),
    ("vae", "diffusion_pytorch_model.safetensors"),
    ("text_encoder", "model.safetensors"),
    ("image_encoder", "model.safetensors"),
];

/// A copy of the tiny checkpoint, to be damaged.
struct Checkpoint(TempDir);

impl Checkpoint {
    fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        copy(&golden_path("tiny"), folder.path());
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Sets a field of a JSON file.
    fn set(self, file: &str, field: &str, value: Value) -> Self {
        let path = self.path(file);
        let mut json: Value = serde_json::from_slice(&fs::read(&path).expect("read")).expect("JSON");
        json[field] = value;
        fs::write(&path, json.to_string()).expect("written");
        self
    }

    /// Rewrites a file of weights from the shapes and bytes that `change` leaves, all f32.
    fn change(self, (part, file): (&str, &str), change: impl Fn(&mut BTreeMap<String, (Vec<usize>, Vec<u8>)>)) -> Self {
        let path = self.path(part).join(file);
        let bytes = fs::read(&path).expect("read");
        let stored = SafeTensors::deserialize(&bytes).expect("valid");
        let mut tensors = stored.iter().map(|(name, view)| (name.into(), (view.shape().to_vec(), view.data().to_vec()))).collect();
        change(&mut tensors);
        let views = tensors.iter().map(|(name, (shape, data))| (name, TensorView::new(Dtype::F32, shape.clone(), data).expect("valid")));
        serialize_to_file(views, None, &path).expect("written");
        self
    }

    /// How loading and the first stage of a generation fail.
    fn error(&self) -> Error {
        let device = Device::builder().build().expect("an adapter");
        let outcome = AnimatePipeline::builder(&device).checkpoint(self.0.path()).precision(Precision::F32).build();
        let outcome = outcome.and_then(|pipeline| request(&pipeline, |request| request));
        outcome.expect_err("this checkpoint is damaged")
    }

    fn says(&self, code: &str, words: &[&str]) {
        assert_error(&self.error(), code, words);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("a folder") {
        let (path, target) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).expect("an entry");
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("copied");
        }
    }
}

fn assert_error(error: &Error, code: &str, words: &[&str]) {
    let text = error.to_string();
    assert_eq!(error.code(), code, "{text}");
    assert!(words.iter().all(|word| text.contains(word)), "`{text}` lacks one of {words:?}");
    assert!(!text.contains('\n'), "`{text}` is more than a line");
}

fn video(count: usize, width: u32, height: u32) -> Frames {
    Frames::from_images((0..count).map(|_| RgbImage::new(width, height))).expect("frames")
}

/// Starts a generation of five frames and lets it run until the encoders are done.
fn request(pipeline: &AnimatePipeline, change: impl Fn(AnimateRequest) -> AnimateRequest) -> Result<()> {
    let motion = Motion::new(video(5, 32, 32), video(5, 16, 16))?;
    let reference = RgbImage::new(32, 32);
    let settled = pipeline.animate(&reference, &motion).segment_frames(5).num_inference_steps(1);
    let is_early = |event: &Result<Event>| !matches!(event, Ok(Event::Stage(Stage::Conditioning { .. })));
    change(settled).start()?.take_while(is_early).try_for_each(|event| event.map(drop))
}

#[test]
fn damaged_weights_name_the_file() {
    for (part, file) in PARTS {
        let length = fs::metadata(golden_path("tiny").join(part).join(file)).expect("there").len();
        for end in [0, 7, 8, 100, length / 2, length - 1] {
            let checkpoint = Checkpoint::new();
            fs::OpenOptions::new().write(true).open(checkpoint.path(part).join(file)).and_then(|f| f.set_len(end)).expect("cut");
            checkpoint.says("weights", &[part, file, "download it again"]);
        }
        let checkpoint = Checkpoint::new();
        fs::remove_file(checkpoint.path(part).join(file)).expect("removed");
        checkpoint.says("weights", &[part, "no .safetensors file"]);
    }
}

/// In the layout of the official release every file may be a part: where none opens, the first says why.
#[test]
fn a_folder_of_damaged_files_alone_says_what_is_wrong_with_the_first() {
    let folder = TempDir::new().expect("a temporary folder");
    fs::write(folder.path().join("a.pth"), "<html>no such file</html>").expect("written");
    fs::write(folder.path().join("b.safetensors"), "").expect("written");
    let device = Device::builder().build().expect("an adapter");
    let error = AnimatePipeline::builder(&device).checkpoint(folder.path()).build().expect_err("no checkpoint");
    assert_error(&error, "weights", &["a.pth", "a web page, not a checkpoint"]);
    fs::remove_file(folder.path().join("a.pth")).expect("there");
    let error = AnimatePipeline::builder(&device).checkpoint(folder.path()).build().expect_err("no checkpoint");
    assert_error(&error, "weights", &["b.safetensors", "the file is empty"]);
    fs::remove_file(folder.path().join("b.safetensors")).expect("there");
    let error = AnimatePipeline::builder(&device).checkpoint(folder.path()).build().expect_err("no checkpoint");
    assert_error(&error, "weights", &["neither a model_index.json nor a file of weights"]);
}

#[test]
fn wrong_tensors_are_named() {
    for place in PARTS {
        let last = |tensors: &BTreeMap<String, (Vec<usize>, Vec<u8>)>| tensors.keys().next_back().expect("one").clone();
        let path = golden_path("tiny").join(place.0).join(place.1);
        let bytes = fs::read(path).expect("read");
        let name = SafeTensors::deserialize(&bytes).expect("valid").names().into_iter().max().expect("one").to_string();

        let missing = Checkpoint::new().change(place, |tensors| drop(tensors.remove(&last(tensors))));
        missing.says("weights", &[place.0, &name, "missing"]);
        let extra = Checkpoint::new().change(place, |tensors| drop(tensors.insert("extra.weight".into(), (vec![1], vec![0; 4]))));
        extra.says("weights", &[place.0, "`extra.weight`", "unknown"]);
        let reshaped = Checkpoint::new().change(place, |tensors| tensors.get_mut(&last(tensors)).expect("there").0.insert(0, 1));
        reshaped.says("weights", &[place.0, &name, "expected shape"]);
        for value in [f32::NAN, f32::NEG_INFINITY] {
            let bad = Checkpoint::new().change(place, |tensors| {
                let data = &mut tensors.get_mut(&last(tensors)).expect("there").1;
                let end = data.len() - 4;
                data[end..].copy_from_slice(&value.to_le_bytes());
            });
            bad.says("weights", &[place.0, &name, "NaN or infinite"]);
        }
    }
}

#[test]
fn missing_and_malformed_files_are_named() {
    let files = [
        "model_index.json",
        "transformer/config.json",
        "vae/config.json",
        "text_encoder/config.json",
        "image_encoder/config.json",
        "image_processor/preprocessor_config.json",
        "scheduler/scheduler_config.json",
    ];
    for file in files {
        let checkpoint = Checkpoint::new();
        fs::remove_file(checkpoint.path(file)).expect("removed");
        checkpoint.says(if file == "model_index.json" { "weights" } else { "io" }, &[file]);
        fs::write(checkpoint.path(file), "{\"num_layers\": 2,").expect("written");
        checkpoint.says("weights", &[file, "line 1"]);
    }
    let checkpoint = Checkpoint::new();
    fs::remove_dir_all(checkpoint.path("tokenizer")).expect("removed");
    checkpoint.says("io", &["tokenizer"]);
    Checkpoint::new().set("model_index.json", "_class_name", json!("WanPipeline")).says("weights", &["WanPipeline", "VideoPipeline"]);
}

#[test]
fn absurd_configurations_name_the_field() {
    let cases = [
        ("transformer", "num_layers", json!(1_000_000_000)),
        ("transformer", "attention_head_dim", json!(0)),
        ("transformer", "attention_head_dim", json!(11)),
        ("transformer", "motion_encoder_size", json!(3)),
        ("transformer", "motion_encoder_size", json!(1_000_000)),
        ("transformer", "motion_encoder_batch_size", json!(0)),
        ("transformer", "rope_max_seq_len", json!(0)),
        ("transformer", "eps", json!(-1.0)),
        ("vae", "dim_mult", json!([])),
        ("vae", "base_dim", json!(0)),
        ("vae", "latents_std", json!(vec![0.0; 16])),
        ("text_encoder", "num_heads", json!(0)),
        ("text_encoder", "layer_norm_epsilon", json!(-1.0)),
        ("image_encoder", "patch_size", json!(0)),
        ("image_encoder", "layer_norm_eps", json!(-1.0)),
    ];
    for (part, field, value) in cases {
        Checkpoint::new()
            .set(&format!("{part}/config.json"), field, value.clone())
            .says(if value == json!(11) { "unsupported" } else { "input" }, &[field]);
    }
    let crop = json!({ "height": 20, "width": 28 });
    let words = ["28x20", "28x28", "preprocessor_config.json", "disagree"];
    Checkpoint::new().set("image_processor/preprocessor_config.json", "crop_size", crop).says("input", &words);
    Checkpoint::new().set("transformer/config.json", "num_layers", json!(-1)).says("weights", &["transformer/config.json", "-1", "line 1"]);
    Checkpoint::new().set("scheduler/scheduler_config.json", "_class_name", json!("DDPMScheduler")).says("unsupported", &["DDPMScheduler"]);
}

#[test]
fn impossible_requests_name_the_setting() {
    let device = Device::builder().build().expect("an adapter");
    let pipeline = AnimatePipeline::builder(&device).checkpoint(golden_path("tiny")).build().expect("builds");
    let refused = |words: &[&str], change: &dyn Fn(AnimateRequest) -> AnimateRequest| {
        assert_error(&request(&pipeline, change).expect_err("impossible"), "input", words);
    };
    refused(&["40x32", "multiples of 16"], &|request| request.size(40, 32));
    refused(&["0x32"], &|request| request.size(0, 32));
    refused(&["0 inference steps"], &|request| request.num_inference_steps(0));
    refused(&["guidance", "-1"], &|request| request.guidance_scale(-1.0));
    refused(&["shift", "NaN"], &|request| request.shift(f64::NAN));
    refused(&["76 frames", "4n + 1"], &|request| request.segment_frames(76));
    refused(&["overlap of 0"], &|request| request.overlap(0));
    refused(&["overlap of 6"], &|request| request.segment_frames(77).overlap(6));
    refused(&["overlap of 5"], &|request| request.overlap(5));
    refused(&["offset of 5", "5 frames"], &|request| request.frame_offset(5));
    refused(&["0 videos"], &|request| request.num_videos(0));
    refused(&["noise for 0 segments"], &|request| request.noise(vec![]));
    let noise = Latents::new([16, 3, 4, 5], vec![0.0; 960]).expect("960 values");
    assert_error(&Latents::new([16, 3, 4, 5], vec![0.0]).expect_err("1 value"), "input", &["[16, 3, 4, 5]"]);
    refused(&["noise of segment 0", "[16, 3, 4, 4]"], &|request| request.noise(vec![noise.clone()]));
}

#[test]
fn what_is_too_large_is_refused_before_any_work() {
    let device = Device::builder().memory_limit(64 << 20).build().expect("an adapter");
    let pipeline = AnimatePipeline::builder(&device).checkpoint(golden_path("tiny")).build().expect("64 MiB are enough to load");
    let most = u32::MAX / 16 * 16;
    for (width, height) in [(65_536, 65_536), (16, 65_536), (most, 16), (most, most), (16_384, 16_384)] {
        let error = request(&pipeline, |request| request.size(width, height)).expect_err("too large");
        assert_error(&error, "limits", &[&format!("{width}x{height}")]);
    }
    let error = request(&pipeline, |request| request.segment_frames(100_001)).expect_err("too long");
    assert_error(&error, "limits", &["100001 frames", "1024"]);
    // Fits the adapter, not the promise made to `memory_limit`.
    let error = request(&pipeline, |request| request.size(1024, 1024).vae_tiling(VaeTiling::Off)).expect_err("too large for 64 MiB");
    let Error::Limits { needed: Some(needed), available: Some(available), smallest, .. } = error else { panic!("{error}") };
    assert!(needed > available && available == 64 << 20 && smallest == Some(needed), "{needed} bytes of {available}, {smallest:?}");
}

#[test]
fn a_memory_limit_holds_while_loading() {
    let device = Device::builder().memory_limit(1 << 16).build().expect("an adapter");
    let error = AnimatePipeline::builder(&device).checkpoint(golden_path("tiny")).build().expect_err("64 KiB are too little");
    assert!(matches!(error, Error::Limits { needed: Some(_), available: Some(65536), .. }), "{error}");
    assert_eq!(device.memory_use().current, 0, "what was loaded is given back");
}

#[test]
fn numbers_out_of_range_do_not_pass_as_pictures() {
    let device = Device::builder().build().expect("an adapter");
    let pipeline = AnimatePipeline::builder(&device).checkpoint(golden_path("tiny")).build().expect("builds");
    let motion = Motion::new(video(5, 32, 32), None).expect("a motion");
    let reference = RgbImage::new(32, 32);
    let request = pipeline.animate(&reference, &motion).segment_frames(5).num_inference_steps(1).guidance_scale(1e300);
    let outcome: Result<Vec<_>> = request.start().expect("starts").collect();
    assert_error(&outcome.expect_err("infinite latents"), "unsupported", &["not finite", "segment 1"]);
}

#[test]
fn an_unknown_adapter_is_named_beside_those_there_are() {
    let error = Device::builder().adapter_name("no such adapter").build().expect_err("unknown");
    assert_error(&error, "device", &["no such adapter", "there are"]);
}

/// A source of the application's own, whose third frame is not to be had.
struct Camera;

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the lens cap is on")]
struct Covered;

impl FrameSource for Camera {
    fn num_frames(&self) -> usize {
        5
    }

    fn size(&self) -> (u32, u32) {
        (32, 32)
    }

    fn fps(&self) -> Option<f64> {
        None
    }

    fn read(&self, index: usize) -> Result<RgbImage> {
        if index == 2 { Err(Error::foreign(Covered)) } else { Ok(RgbImage::new(32, 32)) }
    }
}

#[test]
fn an_applications_own_error_is_kept() {
    let device = Device::builder().build().expect("an adapter");
    let pipeline = AnimatePipeline::builder(&device).checkpoint(golden_path("tiny")).build().expect("builds");
    let motion = Motion::new(Frames::new(Camera).expect("frames"), None).expect("a motion");
    let generation = pipeline.animate(RgbImage::new(32, 32), motion).segment_frames(5).num_inference_steps(1).start();
    let error = generation.expect("starts").find_map(Result::err).expect("a covered lens");
    assert_error(&error, "foreign", &["application"]);
    assert_eq!(error.source().and_then(|source| source.downcast_ref()), Some(&Covered));
    let boxed: Box<dyn std::error::Error + Send + Sync> = "out of film".into();
    assert!(Error::foreign(boxed).source().is_some_and(|source| source.to_string() == "out of film"));
}

/// As `anyhow`'s `{:#}` and other reports print them: an error, then its sources.
#[test]
fn reports_say_nothing_twice() {
    let io = Frames::open("/nowhere.png").expect_err("nothing there");
    assert!(matches!(&io, Error::Io { error, .. } if error.kind() == std::io::ErrorKind::NotFound), "{io:?}");
    for error in [io, Error::foreign(Covered), Error::Busy, Error::Cancelled] {
        let mut report = vec![error.to_string()];
        let mut source = error.source();
        while let Some(error) = source {
            report.push(error.to_string());
            source = error.source();
        }
        for (i, line) in report.iter().enumerate() {
            assert!(report[i + 1..].iter().all(|later| !line.contains(later)), "{report:?}");
        }
    }
}

#[test]
fn errors_tell_whose_turn_it_is() {
    let lost = Error::DeviceLost("gone".into());
    assert_eq!((lost.code(), lost.is_retryable(), lost.is_cancelled()), ("device-lost", true, false));
    assert_eq!((Error::Busy.code(), Error::Busy.is_retryable()), ("busy", true));
    assert_eq!((Error::Cancelled.code(), Error::Cancelled.is_retryable(), Error::Cancelled.is_cancelled()), ("cancelled", false, true));
    assert!(!Error::Input("wrong".into()).is_retryable());
}
