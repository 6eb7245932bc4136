//! Checkpoints of every format and layout, saved in every form: the numbers are the nearest that the form has, and the models run on them.

mod common;
#[path = "common/published.rs"]
mod published;
#[path = "common/tiny.rs"]
mod tiny;

use std::fs;
use std::path::{Path, PathBuf};

use common::golden_path;
use half::{bf16, f16};
use published::{fill, write_gguf, write_shards, write_torch};
use serde_json::Value;
use tempfile::TempDir;
use tiny::{bytes, described, e5m2, frames, legacy, named, official_clip, plain, prefixed, renamed, rows, save, save_quantised, tensors};
use wan_animate::unversioned::weights::names::{TRANSFORMER, UMT5, VAE_2_1};
use wan_animate::unversioned::weights::{Block, Encoding, TensorInfo, Weights};
use wan_animate::{Cancel, Conversion, DType, Error, Storage};

const STORAGES: [Storage; 5] = [Storage::Bf16, Storage::F16, Storage::F32, Storage::Fp8, Storage::Q8_0];

fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

fn convert(input: &Path, storage: Storage, output: &Path) {
    let report = Conversion::new(input).storage(storage).write(output).unwrap_or_else(|error| panic!("{}: {error}", input.display()));
    assert!(report.unknown.is_empty() && report.missing.is_empty(), "{report}");
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
        Encoding::Block(Block::Q8_0) => {
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
    let before = Weights::open(input).expect(what);
    for &storage in storages {
        let (what, folder) = (format!("{what} to {storage}"), folder());
        let output = folder.path().join("converted");
        convert(input, storage, &output);
        let after = Weights::open(&output).expect(&what);
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
            Storage::Fp8 => assert!(count(Encoding::F8E4M3) > 10, "{what}: {}", count(Encoding::F8E4M3)),
            _ => assert!(count(Encoding::Block(Block::Q8_0)) > 10 && after.format() == "GGUF", "{what}"),
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
        let [once, twice] = [once, twice].map(|path| Weights::open(path).expect("opens"));
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
        let (mean, most) = common::difference(&got, &expected);
        println!("{storage}: mean {mean:.1e}, largest {most:.1e} from the frames of f32");
        assert!(mean > 0.0 && mean < 0.1, "{storage}: {mean}");
    }
}

fn frames_of([transformer, vae, text_encoder, image_encoder]: [PathBuf; 4]) -> Vec<f32> {
    frames(|builder| builder.transformer(&transformer).vae(&vae).text_encoder(&text_encoder).image_encoder(&image_encoder)).expect("runs")
}

/// Every size that the reference wrote is found again from the tensors, and said under the same name.
#[test]
fn configurations_are_written() {
    let folder = folder();
    let read = |path: &Path| serde_json::from_slice::<Value>(&fs::read(path).expect("there")).expect("JSON");
    for (part, table, unsaid) in [
        // What no tensor tells: how many face frames are encoded at once is no size.
        ("transformer", &TRANSFORMER, &["_diffusers_version", "motion_encoder_batch_size"][..]),
        ("vae", &VAE_2_1, &["_diffusers_version", "dropout", "decoder_base_dim"]),
        ("text_encoder", &UMT5, &[]),
    ] {
        let input = save(&folder.path().join("input.safetensors"), &renamed(table, &tensors(part)));
        let output = folder.path().join(part);
        convert(&input, Storage::F32, &output);
        let (original, written) = (read(&golden_path("tiny").join(part).join("config.json")), read(&output.join("config.json")));
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
    assert_eq!(read(&output.join("config.json")), read(&golden_path("tiny/image_encoder/config.json")));
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
    let (before, after) = (Weights::open(golden_path("tiny/transformer")).expect("opens"), Weights::open(&output).expect("opens"));
    for (name, info) in before.iter() {
        assert_eq!(before.to_f32(name, &info.shape).expect(name), after.to_f32(name, &info.shape).expect(name), "{name}");
    }
    assert!(calls.is_sorted() && calls.last().is_some_and(|(written, total)| written == total && *total == 4 * 41926), "{calls:?}");
}

/// Fails if anything but these is in a folder.
fn assert_holds(folder: &Path, expected: &[&str]) {
    let mut names: Vec<_> = fs::read_dir(folder).expect("there").map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    assert_eq!(names, expected);
}

fn says(error: Error, parts: &[&str]) {
    let message = error.to_string();
    assert!(parts.iter().all(|part| message.contains(part)), "{message}");
}

#[test]
fn nothing_is_overwritten_unasked() {
    let folder = folder();
    let output = folder.path().join("output");
    let conversion = || Conversion::new(golden_path("tiny/vae"));
    conversion().write(&output).expect("writes");
    let file = output.join("diffusion_pytorch_model.safetensors");
    let first = fs::read(&file).expect("there");
    says(conversion().storage(Storage::F32).write(&output).expect_err("there"), &["output: there already", "--force"]);
    assert_eq!(fs::read(&file).expect("there"), first);

    fs::write(output.join("diffusion_pytorch_model.safetensors.index.json"), "{}").expect("writes");
    conversion().storage(Storage::F32).overwrite(true).write(&output).expect("writes");
    assert_holds(&output, &["config.json", "diffusion_pytorch_model.safetensors"]);
    assert_ne!(fs::read(&file).expect("there"), first);

    let other = folder.path().join("other");
    fs::create_dir(&other).expect("a folder");
    conversion().write(&other).expect("an empty folder is no loss");
    fs::remove_file(other.join("config.json")).expect("there");
    says(conversion().overwrite(true).write(&other).expect_err("no checkpoint"), &["other: has no config.json"]);
    says(conversion().overwrite(true).write(other.join("diffusion_pytorch_model.safetensors")).expect_err("a file"), &["this is a file"]);
    says(conversion().write(folder.path().join("none/output")).expect_err("no folder"), &["none"]);
    says(conversion().write("..").expect_err("no name"), &["give the name of a new folder"]);
    assert_holds(folder.path(), &["other", "output"]);
}

#[test]
fn the_input_is_not_written_over() {
    let folder = folder();
    let place = |name: &str| folder.path().join(name);
    convert(&golden_path("tiny/vae"), Storage::F32, &place("model"));
    let file = place("model/diffusion_pytorch_model.safetensors");
    let before = fs::read(&file).expect("there");
    fs::create_dir(place("other")).expect("a folder");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(place("model"), place("link")).expect("a link");
        says(Conversion::new(place("link")).overwrite(true).write(place("model")).expect_err("the same"), &["the input is there"]);
        says(Conversion::new(&file).overwrite(true).write(place("link")).expect_err("the same"), &["the input is there"]);
    }
    for (input, output) in [("model", "model"), ("model", "other/../model"), ("model/diffusion_pytorch_model.safetensors", "model")] {
        let error = Conversion::new(place(input)).overwrite(true).write(place(output)).expect_err("the same");
        says(error, &["the input is there; choose another place"]);
    }
    // Left by a killed process, it would be removed.
    fs::rename(place("model"), place("model.partial")).expect("renamed");
    says(Conversion::new(place("model.partial")).write(place("model")).expect_err("the same"), &["the input is there"]);
    assert_eq!(fs::read(place("model.partial/diffusion_pytorch_model.safetensors")).expect("there"), before);
}

/// A transformer with one number changed, and one tensor more or less.
fn changed(path: &Path, change: impl FnOnce(&mut Vec<tiny::Values>)) -> PathBuf {
    let mut all = tensors("transformer");
    change(&mut all);
    save(path, &all)
}

#[test]
fn failures_leave_nothing_behind() {
    let folder = folder();
    let (input, output) = (folder.path().join("input.safetensors"), folder.path().join("output"));
    let name = "blocks.1.attn1.to_q.weight";
    let set = |value: f32| {
        changed(&input, |all| {
            all.iter_mut().find(|tensor| tensor.name == name).expect("there").data[24 * 3 + 5] = value;
        })
    };
    let fail = |storage: Storage, parts: &[&str]| {
        says(Conversion::new(&input).storage(storage).write(&output).expect_err("must fail"), parts);
        assert_holds(folder.path(), &["input.safetensors"]);
    };
    for storage in &STORAGES[..4] {
        set(f32::NAN);
        fail(*storage, &["input.safetensors", name, "element [3, 5] is NaN or infinite"]);
    }
    set(-65520.0);
    fail(Storage::F16, &["input.safetensors", name, "element [3, 5] is 6.552e4 in magnitude, which f16 cannot hold; choose bf16"]);
    set(f32::MAX);
    fail(Storage::Bf16, &[name, "element [3, 5] is 3.4028235e38 in magnitude, which bf16 cannot hold"]);
    changed(&input, |all| all.retain(|tensor| tensor.name != name));
    fail(Storage::F32, &["input.safetensors", "an Animate transformer without 1 of its tensors", name]);
    changed(&input, |all| all[7].name.push('x'));
    fail(Storage::F32, &["input.safetensors", "1 tensors are unknown to an Animate transformer", "near `"]);
    fs::copy(golden_path("lora/peft.safetensors"), &input).expect("copied");
    fail(Storage::F32, &["this is a LoRA; a transformer, text encoder"]);
    fs::copy(golden_path("tiny/vae/diffusion_pytorch_model.safetensors"), &input).expect("copied");
    fail(Storage::Fp8, &["a VAE 2.1 without a matrix that could be fp8; choose bf16"]);

    set(0.5);
    let cancel = Cancel::new();
    let conversion = Conversion::new(&input).cancel(cancel.clone()).on_progress(|written, total| {
        if written > total / 2 {
            cancel.cancel();
        }
    });
    assert!(matches!(conversion.write(&output), Err(Error::Cancelled)));
    assert_holds(folder.path(), &["input.safetensors"]);
    // The largest number that is an f16.
    set(65504.0);
    convert(&input, Storage::F16, &output);
}

/// What a killed run left is replaced.
#[test]
fn leftovers_are_cleared() {
    let folder = folder();
    let partial = folder.path().join("output.partial");
    fs::create_dir(&partial).expect("a folder");
    fs::write(partial.join("diffusion_pytorch_model.safetensors"), "half").expect("writes");
    convert(&golden_path("tiny/vae"), Storage::Bf16, &folder.path().join("output"));
    assert_holds(folder.path(), &["output"]);
    assert_holds(&folder.path().join("output"), &["config.json", "diffusion_pytorch_model.safetensors"]);
}

/// Not a test: what the next one starts where files may not grow.
#[test]
#[ignore = "started by another test"]
fn child() {
    let Ok(output) = std::env::var("WAN_ANIMATE_TEST_OUTPUT") else { return };
    let error = Conversion::new(golden_path("tiny/transformer")).storage(Storage::F32).write(output).expect_err("no room");
    eprintln!("<{error}>");
}

/// As for a full disk, which takes a mount to try: the system refuses to write on.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_leaves_nothing_behind() {
    let folder = folder();
    let output = folder.path().join("output");
    // 64 KiB, in blocks of 512 bytes; without the signal, writing fails.
    let line = "trap '' XFSZ; ulimit -f 128; exec \"$0\" --ignored --exact child --nocapture";
    let result = std::process::Command::new("sh")
        .args(["-c", line, std::env::current_exe().expect("this test").to_str().expect("text")])
        .env("WAN_ANIMATE_TEST_OUTPUT", &output)
        .output()
        .expect("runs");
    let text = String::from_utf8_lossy(&result.stderr);
    assert!(result.status.success(), "{text}");
    let message = text.split_once('<').and_then(|(_, rest)| rest.split_once('>')).expect("an error").0;
    let parts = ["output.partial/diffusion_pytorch_model.safetensors: File too large", "bytes; what was written has been removed"];
    assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    assert_holds(folder.path(), &[]);
}
