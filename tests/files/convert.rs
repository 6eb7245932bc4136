//! Checkpoints of every format and layout, saved in every form: the numbers are the nearest that the form has, and the models run on them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::golden_path;
use crate::published::{fill, write_gguf, write_shards, write_torch};
use crate::tiny::{
    bytes, described, e5m2, frames, legacy, named, official_clip, plain, prefixed, renamed, rows, save, save_quantised, tensors,
};
use half::{bf16, f16};
use serde_json::Value;
use tempfile::TempDir;
use wan_animate::unversioned::dtype::DType;
use wan_animate::unversioned::models;
use wan_animate::unversioned::models::dit::names::{OFFICIAL as TRANSFORMER, OFFICIAL_2};
use wan_animate::unversioned::models::umt5::names::OFFICIAL as UMT5;
use wan_animate::unversioned::models::vae::names::OFFICIAL_2_1 as VAE_2_1;
use wan_animate::unversioned::weights::{BlockFormat, Encoding, TensorInfo, Weights};
use wan_animate::video::{Frames, open_image};
use wan_animate::{Animate2Pipeline, AnimatePipeline, Conversion, Error, Event, Precision, Storage, VideoPipeline};

const STORAGES: [Storage; 5] = [Storage::Bf16, Storage::F16, Storage::F32, Storage::Fp8, Storage::Q8_0];

fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

fn convert(input: &Path, storage: Storage, output: &Path) {
    let reports = Conversion::new(input).storage(storage).write(output).unwrap_or_else(|error| panic!("{}: {error}", input.display()));
    assert!(reports.iter().all(|report| report.unknown.is_empty() && report.missing.is_empty()), "{reports:?}");
}

/// Fails unless each number is the nearest that the form has.
fn check_numbers(what: &str, (name, info): (&str, &TensorInfo), before: &[f32], after: &[f32]) {
    let largest = |values: &[f32]| values.iter().fold(0f32, |most, value| most.max(value.abs()));
    let bounds: Vec<f32> = match info.encoding {
        Encoding::Float(DType::F16) => {
            assert!(before.iter().zip(after).all(|(before, after)| f16::from_f32(*before).to_f32() == *after), "{what}: {name}");
            return;
        }
        Encoding::Float(DType::Bf16) => {
            assert!(before.iter().zip(after).all(|(before, after)| bf16::from_f32(*before).to_f32() == *after), "{what}: {name}");
            return;
        }
        // Half a step: of 8 to a power of two, the lowest of which is 2^-6 where the largest number is at least 224.
        Encoding::F8E4M3 => {
            let least = largest(before) / 224.0 * 2f32.powi(-10);
            before.iter().map(|value| (value.abs() / 16.0).max(least)).collect()
        }
        // Half a step of 127 to the largest number; 2^-11 is how far the scale is from that in f16.
        Encoding::Block(BlockFormat::Q8_0) => {
            let bound = |block: &[f32]| [largest(block) / 254.0 * (1.0 + 2f32.powi(-11)); 32];
            before.chunks(32).flat_map(bound).collect()
        }
        _ => vec![0.0; before.len()],
    };
    for (i, ((before, after), bound)) in before.iter().zip(after).zip(bounds).enumerate() {
        assert!((before - after).abs() <= bound, "{what}: {name}[{i}]: {before} became {after}, {bound} is the most");
    }
}

/// Converts a checkpoint to every form that it can have, and looks at every number.
fn check_storages(what: &str, input: &Path, storages: &[Storage]) {
    let before = models::open(input).expect(what);
    for &storage in storages {
        let (what, folder) = (format!("{what} to {storage}"), folder());
        let output = folder.path().join("converted");
        convert(input, storage, &output);
        let after = models::open(&output).expect(&what);
        assert!(after.iter().map(|(name, _)| name).eq(before.iter().map(|(name, _)| name)), "{what}: other tensors");
        assert_eq!(after.layout(), None, "{what}: the names of diffusers");
        for (name, info) in after.iter() {
            let [before, numbers] = [&before, &after].map(|weights| weights.to_f32(name, &info.shape).expect(name));
            check_numbers(&what, (name, info), &before, &numbers);
        }
        let count = |encoding: Encoding| after.iter().filter(|(_, info)| info.encoding == encoding).count();
        let all = after.iter().count();
        match storage {
            Storage::Bf16 => assert_eq!(count(DType::Bf16.into()), all),
            Storage::F16 => assert_eq!(count(DType::F16.into()), all),
            Storage::F32 => assert_eq!(count(DType::F32.into()), all),
            Storage::Fp8 => assert!(count(Encoding::F8E4M3) > 5, "{what}: {}", count(Encoding::F8E4M3)),
            _ => assert!(count(Encoding::Block(BlockFormat::Q8_0)) > 5 && after.format() == "GGUF", "{what}"),
        }
    }
}

#[test]
fn every_format_and_layout_in_every_form() {
    let folder = folder();
    let place = |name: &str| folder.path().join(name);
    let (here, there) = (tensors("transformer"), renamed(&TRANSFORMER, &tensors("transformer")));
    let torch = place("transformer.pth");
    fill(&torch, &write_torch(&torch, &named(&there), true), &bytes(&there));
    let gguf = place("transformer.gguf");
    fill(&gguf, &write_gguf(&gguf, &named(&there), |_| (0, 1, 4)), &bytes(&there));
    let shards = place("shards");
    fs::create_dir(&shards).expect("a folder");
    write_shards(&shards, &named(&there), 3);
    for (i, part) in there.chunks(there.len().div_ceil(3)).enumerate() {
        save(&shards.join(format!("diffusion_pytorch_model-{:05}-of-00003.safetensors", i + 1)), part);
    }
    let sources = [
        ("diffusers", save(&place("diffusers.safetensors"), &here)),
        ("official", save(&place("official.safetensors"), &there)),
        ("ComfyUI", save(&place("comfy.safetensors"), &prefixed(&there))),
        ("torch", torch),
        ("GGUF", gguf),
        ("shards", shards),
        ("fp8", save_quantised(&place("plain.safetensors"), &there, plain)),
        ("fp8 e5m2", save_quantised(&place("e5m2.safetensors"), &there, e5m2)),
        ("fp8 scaled, older", save_quantised(&place("legacy.safetensors"), &there, legacy)),
        ("fp8 scaled, newer", save_quantised(&place("described.safetensors"), &there, described)),
        ("int8 rows", save_quantised(&place("rows.safetensors"), &there, rows)),
    ];
    for (what, input) in sources {
        // The tiny transformer's blocks have no rows of whole blocks of 32; the demo's have.
        check_storages(what, &input, &STORAGES[..4]);
    }
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo/model");
    check_storages("the demo", &demo.join("transformer"), &[Storage::Q8_0]);
    let blocks = place("q8_0");
    convert(&demo.join("transformer"), Storage::Q8_0, &blocks);
    check_storages("q8_0", &blocks, &STORAGES);
    for part in ["text_encoder", "image_encoder"] {
        check_storages(part, &demo.join(part), &[Storage::Bf16, Storage::F16, Storage::F32, Storage::Q8_0]);
    }
    check_storages("VAE 2.2", &demo.join("vae"), &STORAGES[..3]);
}

/// A text encoder of one block whose matrices are long enough to be converted in several runs of rows, in signed bytes with a scale for each row.
fn long_text_encoder(path: &Path) {
    let attention = [("q", [64, 1024]), ("k", [64, 1024]), ("v", [64, 1024]), ("o", [1024, 64])];
    let attention = attention.map(|(name, shape)| (format!("encoder.block.0.layer.0.SelfAttention.{name}"), shape));
    let forward = [("wi_0", [3001, 1024]), ("wi_1", [3001, 1024]), ("wo", [1024, 3001])];
    let forward = forward.map(|(name, shape)| (format!("encoder.block.0.layer.1.DenseReluDense.{name}"), shape));
    let (mut all, mut data) = (Vec::new(), Vec::new());
    let mut add = |name: String, dtype: &'static str, shape: &[usize], bytes: Vec<u8>| {
        all.push(crate::published::Named { name, dtype, shape: shape.into() });
        data.push(bytes);
    };
    for (name, shape) in attention.into_iter().chain(forward) {
        let scales: Vec<f32> = (0..shape[0]).map(|row| 1e-3 * (1.0 + row as f32)).collect();
        add(format!("{name}.weight"), "I8", &shape, (0..shape[0] * shape[1]).map(|i| (i % 251) as u8).collect());
        add(format!("{name}.weight_scale"), "F32", &[shape[0], 1], bytemuck::cast_slice(&scales).into());
    }
    for (name, shape) in [
        ("shared", vec![40, 1024]),
        ("encoder.final_layer_norm", vec![1024]),
        ("encoder.block.0.layer.0.layer_norm", vec![1024]),
        ("encoder.block.0.layer.1.layer_norm", vec![1024]),
        ("encoder.block.0.layer.0.SelfAttention.relative_attention_bias", vec![32, 4]),
    ] {
        let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| i as f32 / 7.0).collect();
        add(format!("{name}.weight"), "F32", &shape, bytemuck::cast_slice(&values).into());
    }
    fill(path, &crate::published::write_safetensors(path, &all), &data);
}

#[test]
fn long_tensors_are_converted_in_runs() {
    let folder = folder();
    let (input, blocks, output) = (folder.path().join("input.safetensors"), folder.path().join("blocks"), folder.path().join("output"));
    long_text_encoder(&input);
    check_storages("rows of bytes", &input, &STORAGES);
    convert(&input, Storage::Q8_0, &blocks);
    check_storages("blocks", &blocks, &[Storage::F32, Storage::Q8_0]);
    // The scale of one row, in the last run.
    let wrong = f32::INFINITY.to_le_bytes();
    let mut bytes = fs::read(&input).expect("there");
    let at = bytes.windows(4).rposition(|window| window == 2.999f32.to_le_bytes()).expect("a scale");
    bytes[at..at + 4].copy_from_slice(&wrong);
    fs::write(&input, bytes).expect("writes");
    let error = Conversion::new(&input).write(&output).expect_err("infinite");
    says(error, &["`encoder.block.0.layer.1.DenseReluDense.wi_1.weight`: element [2998, 0] is NaN or infinite"]);
}

/// What is quantised already does not change when it is quantised in the same way.
#[test]
fn quantising_twice_is_quantising_once() {
    let folder = folder();
    let place = |name: &str| folder.path().join(name);
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo/model/transformer");
    for storage in [Storage::Fp8, Storage::Q8_0] {
        let (once, twice) = (place(&format!("{storage} once")), place(&format!("{storage} twice")));
        convert(&demo, storage, &once);
        convert(&once, storage, &twice);
        let [once, twice] = [once, twice].map(|path| models::open(path).expect("opens"));
        for (name, info) in once.iter() {
            let [once, twice] = [&once, &twice].map(|weights| weights.to_f32(name, &info.shape).expect(name));
            assert!(once == twice, "{storage}: {name}");
        }
    }
}

/// Single files of official names become the parts of a checkpoint of diffusers.
#[test]
fn converted_parts_give_the_same_frames() {
    let folder = folder();
    let place = |name: &str| folder.path().join(name);
    // Nothing in its tensors tells how many heads this small encoder has.
    fs::create_dir(place("clip")).expect("a folder");
    fs::copy(golden_path("tiny/image_encoder/config.json"), place("clip/config.json")).expect("copied");
    let official = [
        ("transformer", save(&place("dit.safetensors"), &renamed(&TRANSFORMER, &tensors("transformer")))),
        ("vae", save(&place("vae.safetensors"), &renamed(&VAE_2_1, &tensors("vae")))),
        ("text_encoder", save(&place("text.safetensors"), &renamed(&UMT5, &tensors("text_encoder")))),
        ("image_encoder", save(&place("clip/clip.safetensors"), &official_clip())),
    ];
    let all = |storage: Storage| {
        let parts = official.each_ref().map(|(part, input)| {
            let quantised = matches!(storage, Storage::Fp8) && *part == "vae";
            let output = place(&format!("{part} {storage}"));
            convert(input, if quantised { Storage::Bf16 } else { storage }, &output);
            output
        });
        frames_of(parts)
    };
    let expected = frames(|builder| builder).expect("runs");
    assert!(all(Storage::F32) == expected, "f32: other frames");
    for storage in [Storage::Bf16, Storage::Fp8] {
        let got = all(storage);
        // The same numbers in f32.
        let twins = official.each_ref().map(|(part, _)| {
            let output = place(&format!("{part} {storage} twin"));
            convert(&place(&format!("{part} {storage}")), Storage::F32, &output);
            output
        });
        assert!(got == frames_of(twins), "{storage}: other frames than those of the same numbers");
        let (mean, most) = crate::common::difference(&got, &expected);
        println!("{storage}: mean {mean:.1e}, largest {most:.1e} from the frames of f32");
        assert!(mean > 0.0 && mean < 0.1, "{storage}: {mean}");
    }
}

fn frames_of([transformer, vae, text_encoder, image_encoder]: [PathBuf; 4]) -> Vec<f32> {
    frames(|builder| builder.transformer(&transformer).vae(&vae).text_encoder(&text_encoder).image_encoder(&image_encoder)).expect("runs")
}

/// Every file beneath a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name().into_string().expect("text"))).expect("an entry");
        match path.is_dir() {
            true => names.extend(files(&path).into_iter().map(|file| format!("{name}/{file}"))),
            false => names.push(name),
        }
    }
    names.sort();
    names
}

#[test]
fn whole_checkpoints_are_converted() {
    let folder = folder();
    let tiny = folder.path().join("tiny");
    convert(&golden_path("tiny"), Storage::F32, &tiny);
    assert_eq!(files(&tiny), files(&golden_path("tiny")));
    for file in ["model_index.json", "scheduler/scheduler_config.json", "tokenizer/spiece.model"] {
        assert_eq!(fs::read(tiny.join(file)).expect(file), fs::read(golden_path("tiny").join(file)).expect(file), "{file}");
    }
    assert!(frames(|builder| builder.checkpoint(&tiny)).expect("runs") == frames(|builder| builder).expect("runs"));
    // Quantised where there is something to quantise, and else as it was.
    let quantised = folder.path().join("quantised");
    convert(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo/model"), Storage::Q8_0, &quantised);
    for file in ["transformer/diffusion_pytorch_model.gguf", "vae/diffusion_pytorch_model.safetensors", "text_encoder/model.gguf"] {
        assert!(quantised.join(file).exists(), "{file}");
    }
    AnimatePipeline::builder(&crate::tiny::DEVICE).checkpoint(&quantised).build().expect("opens");

    for (name, part) in [("../tiny", "`../tiny` is not the name of a folder"), ("scheduler", "no component that model_index.json lists")] {
        let index = format!(r#"{{"_class_name": "WanAnimatePipeline", "{name}": ["diffusers", "X"]}}"#);
        fs::write(tiny.join("model_index.json"), index).expect("written");
        says(Conversion::new(&tiny).write(folder.path().join("none")).expect_err("hostile"), &["tiny", part]);
    }
}

/// Animate-2 keeps the names and the index that diffusers has for it.
#[test]
fn animate_2_is_converted() {
    let (folder, golden) = (folder(), golden_path("animate2/base"));
    let output = folder.path().join("output");
    convert(&golden, Storage::F32, &output);
    assert_eq!(files(&output), files(&golden));
    let index = "modular_model_index.json";
    assert_eq!(fs::read(output.join(index)).expect("an index"), fs::read(golden.join(index)).expect("an index"));
    let names = |path: &Path| Weights::open(path).expect("opens").iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&output.join("transformer")), names(&golden.join("transformer")));
    let config = |path: &Path| serde_json::from_slice::<Value>(&fs::read(path.join("config.json")).expect("a file")).expect("JSON");
    assert_eq!(config(&output.join("transformer")), config(&golden.join("transformer")));
    let open = |folder: &Path, part: Option<&Path>| {
        let builder = Animate2Pipeline::builder(&crate::tiny::DEVICE).checkpoint(folder).precision(Precision::F32);
        part.into_iter().fold(builder, |builder, part| builder.transformer(part)).build().expect("opens")
    };
    let frames = |pipeline: &Animate2Pipeline| {
        let reference = open_image(golden_path("animate2/inputs/tall.png")).expect("an image");
        let driving = Frames::open(golden_path("animate2/inputs/driving")).expect("a video");
        let request = pipeline.animate(&reference, &driving, "a person").size(48, 48).num_frames(5).segment_frames(5);
        let events = request.num_inference_steps(1).start().expect("starts").collect::<Result<Vec<_>, _>>().expect("runs");
        let samples =
            events.into_iter().filter_map(|event| if let Event::Frame(frame) = event { Some(frame.samples().to_vec()) } else { None });
        samples.flatten().collect::<Vec<_>>()
    };
    let expected = frames(&open(&golden, None));
    assert!(!expected.is_empty() && frames(&open(&output, None)) == expected);
    // As officially released, where all but the heads is told by the tensors.
    let release = folder.path().join("release");
    fs::create_dir(&release).expect("a folder");
    let official = r#"{"dim": 24, "num_heads": 2, "num_layers": 11, "eps": 1e-6}"#;
    fs::write(release.join("config.json"), official).expect("written");
    let file = save(&release.join("wan_animate_2.safetensors"), &renamed(&OFFICIAL_2, &crate::tiny::read(&golden.join("transformer"))));
    for storage in [Storage::F32, Storage::Fp8] {
        let part = folder.path().join(storage.to_string());
        convert(&file, storage, &part);
        let mut expected_config = config(&golden.join("transformer"));
        expected_config.as_object_mut().expect("an object").remove("_diffusers_version");
        assert_eq!(config(&part), expected_config);
        let got = frames(&open(&golden, Some(&part)));
        assert!(if storage == Storage::F32 { got == expected } else { got != expected }, "{storage}");
    }
    // A folder of the release does not tell which of the two models it has.
    for part in ["vae", "text_encoder"] {
        let mut from = fs::read_dir(golden.join(part)).expect("a folder").flatten().map(|entry| entry.path());
        let weights = from.find(|path| path.extension().is_some_and(|ending| ending == "safetensors")).expect("weights");
        fs::copy(weights, release.join(format!("{part}.safetensors"))).expect("copied");
    }
    let error = Conversion::new(&release).write(folder.path().join("none")).expect_err("not told");
    says(error, &["base model or the distilled one is not told: convert its files one by one"]);
}

/// The two experts of I2V as officially released, from their twins in the layout of diffusers, and back again: the same frames.
#[test]
fn releases_become_checkpoints_of_diffusers() {
    let folder = folder();
    let (twin, release, output) = (golden_path("family/i2v"), folder.path().join("release"), folder.path().join("output"));
    let place = |name: &str| release.join(name);
    let official = r#"{"_class_name": "WanModel", "dim": 24, "num_heads": 2, "num_layers": 2, "eps": 1e-6, "window_size": [-1, -1]}"#;
    for (expert, part) in [("high_noise_model", "transformer"), ("low_noise_model", "transformer_2")] {
        fs::create_dir_all(place(expert)).expect("a folder");
        fs::write(place(expert).join("config.json"), official).expect("written");
        save(&place(expert).join("diffusion_pytorch_model.safetensors"), &renamed(&TRANSFORMER, &crate::tiny::read(&twin.join(part))));
    }
    for (file, part, table) in [("Wan2.1_VAE.pth", "vae", &VAE_2_1), ("models_t5_umt5-xxl-enc-bf16.pth", "text_encoder", &UMT5)] {
        let tensors = renamed(table, &crate::tiny::read(&twin.join(part)));
        fill(&place(file), &write_torch(&place(file), &named(&tensors), false), &bytes(&tensors));
    }
    says(Conversion::new(&release).write(&output).expect_err("incomplete"), &["release", "no tokenizer", "google/umt5-xxl"]);
    fs::create_dir_all(place("google/umt5-xxl")).expect("a folder");
    fs::copy(twin.join("tokenizer/tokenizer.json"), place("google/umt5-xxl/tokenizer.json")).expect("copied");
    convert(&release, Storage::F32, &output);

    let index = json(&output.join("model_index.json"));
    for (name, value) in json(&twin.join("model_index.json")).as_object().expect("an object") {
        match name.as_str() {
            "tokenizer" => assert_eq!(index[name], serde_json::json!(["transformers", "T5TokenizerFast"])),
            "_diffusers_version" | "image_encoder" | "image_processor" => assert_eq!(index[name], Value::Null),
            _ => assert_eq!(&index[name], value, "{name}"),
        }
    }
    let image = open_image(golden_path("family/inputs/image.png")).expect("an image");
    let frames = |checkpoint: &Path| {
        let pipeline =
            VideoPipeline::builder(&crate::tiny::DEVICE).checkpoint(checkpoint).precision(Precision::F32).build().expect("opens");
        let request = pipeline.image_to_video(&image, "a person dances").size(48, 32).num_frames(5).num_inference_steps(2);
        let events = request.start().expect("starts").map(|event| event.expect("runs"));
        let frames = events.filter_map(|event| if let Event::Frame(frame) = event { Some(frame.samples().to_vec()) } else { None });
        frames.flatten().collect::<Vec<f32>>()
    };
    let expected = frames(&twin);
    assert!(expected.iter().any(|&value| value != expected[0]) && frames(&output) == expected);
}

/// Animate's release has an image encoder too, whose processor is described.
#[test]
fn a_release_of_animate_gets_an_image_processor() {
    let folder = folder();
    let (release, output) = (folder.path().join("release"), folder.path().join("output"));
    fs::create_dir(&release).expect("a folder");
    save(&release.join("diffusion_pytorch_model.safetensors"), &renamed(&TRANSFORMER, &tensors("transformer")));
    save(&release.join("vae.safetensors"), &renamed(&VAE_2_1, &tensors("vae")));
    save(&release.join("text.safetensors"), &renamed(&UMT5, &tensors("text_encoder")));
    fs::copy(golden_path("tiny/tokenizer/tokenizer.json"), release.join("tokenizer.json")).expect("copied");
    says(Conversion::new(&release).write(&output).expect_err("incomplete"), &["there is no image encoder in this folder"]);
    // Wide enough for a head of 64: its tensors tell sizes then.
    let mut clip = official_clip();
    for tensor in &mut clip {
        let width = if tensor.name.ends_with("patch_embedding.weight") { 1 } else { 4 };
        for (axis, dim) in tensor.shape.iter_mut().enumerate().filter(|(_, dim)| dim.is_multiple_of(16)) {
            *dim *= if axis == 0 { 4 } else { width };
        }
        tensor.data = (0..tensor.shape.iter().product()).map(|i: usize| (i % 7) as f32 / 70.0).collect();
    }
    save(&release.join("clip.safetensors"), &clip);
    convert(&release, Storage::Bf16, &output);
    let (found, expected) = (json(&output.join("image_processor/preprocessor_config.json")), "image_processor/preprocessor_config.json");
    assert_eq!(found, json(&golden_path("tiny").join(expected)));
    let (found, expected) = (json(&output.join("model_index.json")), json(&golden_path("tiny/model_index.json")));
    for name in ["_class_name", "scheduler", "transformer", "vae", "text_encoder", "image_encoder"] {
        assert_eq!(found[name], expected[name], "{name}");
    }
    AnimatePipeline::builder(&crate::tiny::DEVICE).checkpoint(&output).build().map(drop).unwrap_or_else(|error| panic!("{error}"));
}

/// An image embedder without keys in the blocks, as the official class makes it where images are not to be embedded, is left out.
#[test]
fn what_the_model_does_not_use_is_left_out() {
    let folder = folder();
    let (input, output) = (folder.path().join("input.safetensors"), folder.path().join("output"));
    let mut all = renamed(&TRANSFORMER, &tensors("transformer"));
    all.retain(|tensor| !["k_img", "v_img"].iter().any(|name| tensor.name.contains(name)));
    assert!(all.iter().any(|tensor| tensor.name.starts_with("img_emb")));
    save(&input, &all);
    convert(&input, Storage::F32, &output);
    assert!(!models::open(&output).expect("opens").iter().any(|(name, _)| name.contains("image_embedder")));
    assert_eq!(json(&output.join("config.json"))["image_dim"], Value::Null);
    let twin = frames(|builder| builder.transformer(&input)).expect("runs");
    assert!(frames(|builder| builder.transformer(&output)).expect("runs") == twin);
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).expect("JSON")
}

/// Every size that the reference wrote is found again from the tensors, and said under the same name.
#[test]
fn configurations_are_written() {
    let folder = folder();
    for (part, table, unsaid) in [
        // What no tensor tells: how many face frames are encoded at once is no size.
        ("transformer", &TRANSFORMER, &["_diffusers_version", "motion_encoder_batch_size"][..]),
        ("vae", &VAE_2_1, &["_diffusers_version", "dropout", "decoder_base_dim"]),
        ("text_encoder", &UMT5, &[]),
    ] {
        let input = save(&folder.path().join("input.safetensors"), &renamed(table, &tensors(part)));
        let output = folder.path().join(part);
        convert(&input, Storage::F32, &output);
        let (original, written) = (json(&golden_path("tiny").join(part).join("config.json")), json(&output.join("config.json")));
        let written = written.as_object().expect("an object");
        for (name, value) in original.as_object().expect("an object").iter().filter(|(name, _)| !unsaid.contains(&name.as_str())) {
            match written.get(name) {
                Some(found) => assert_eq!(found, value, "{part}: {name}"),
                None => assert_eq!(part, "text_encoder", "{name} is not written"),
            }
        }
        assert!(written.contains_key("_class_name") || written["model_type"] == "umt5" && written["d_model"] == 16);
    }
    // One that is there is kept, with what this crate does not read.
    let output = folder.path().join("kept");
    convert(&golden_path("tiny/image_encoder"), Storage::F32, &output);
    assert_eq!(json(&output.join("config.json")), json(&golden_path("tiny/image_encoder/config.json")));
}

#[test]
fn long_checkpoints_become_shards() {
    let folder = folder();
    let output = folder.path().join("shards");
    let most = 40_000;
    let mut calls = Vec::new();
    Conversion::new(golden_path("tiny/transformer"))
        .storage(Storage::F32)
        .max_shard_size(most)
        .on_progress(|written, total| calls.push((written, total)))
        .write(&output)
        .expect("writes");
    let mut names: Vec<_> = fs::read_dir(&output).expect("there").map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    let shards = names.iter().filter(|name| name.to_string_lossy().ends_with("-of-00005.safetensors")).count();
    assert_eq!((shards, names.len()), (5, 7), "{names:?}");
    let largest = names.iter().map(|name| fs::metadata(output.join(name)).expect("there").len()).max();
    assert!(largest < Some(most + 20_000), "the header is more than the tensors: {largest:?}");
    let (before, after) = (models::open(golden_path("tiny/transformer")).expect("opens"), models::open(&output).expect("opens"));
    for (name, info) in before.iter() {
        assert_eq!(before.to_f32(name, &info.shape).expect(name), after.to_f32(name, &info.shape).expect(name), "{name}");
    }
    assert!(calls.is_sorted() && calls.last().is_some_and(|(written, total)| written == total && *total == 4 * 41926), "{calls:?}");
}

fn says(error: Error, parts: &[&str]) {
    let message = error.to_string();
    assert!(parts.iter().all(|part| message.contains(part)), "{message}");
}
