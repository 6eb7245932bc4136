//! Checkpoints: what is in them is read exactly, and what is wrong with them is said, by file and tensor.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::processor_time;
use tempfile::TempDir;
use wan_animate::Error;
use wan_animate::unversioned::dtype::DType;
use wan_animate::unversioned::json::read_json;
use wan_animate::unversioned::weights::config::ModelIndex;
use wan_animate::unversioned::weights::{Encoding, NewTensor, Weights, write_safetensors};

/// A safetensors file from its header and as many data bytes, counting up from 0 and staying finite in every float type.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.extend((0..data).map(|i| (i % 60) as u8));
    bytes
}

fn one(dtype: &str, shape: &str, end: usize) -> String {
    format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{end}]}}}}"#)
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).expect("writable");
        path
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Opens within a second and returns the error's text.
fn failure(path: &Path) -> String {
    let start = processor_time();
    let error = Weights::open(path).expect_err("must not open");
    assert!(processor_time() - start < Duration::from_secs(1), "{error} took {:?}", processor_time() - start);
    assert!(matches!(error, Error::Weights { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn every_encoding_is_read() {
    let floats = [0.5f32, -2.0, 65504.0, 0.0];
    let f16: Vec<u8> = floats.iter().flat_map(|&x| half::f16::from_f32(x).to_le_bytes()).collect();
    let bf16: Vec<u8> = floats.iter().flat_map(|&x| half::bf16::from_f32(x).to_le_bytes()).collect();
    let f64: Vec<u8> = floats.iter().flat_map(|&x| f64::from(x).to_le_bytes()).collect();
    let i64: Vec<u8> = [7i64, -3].iter().flat_map(|x| x.to_le_bytes()).collect();
    let i32: Vec<u8> = [7i32, -3].iter().flat_map(|x| x.to_le_bytes()).collect();
    let i16: Vec<u8> = [7i16, -3].iter().flat_map(|x| x.to_le_bytes()).collect();
    // An odd number of bytes first, so that all later tensors lie unaligned.
    type Case<'a> = (&'a str, Encoding, &'a [usize], &'a [u8], &'a [f32]);
    let tensors: [Case; 9] = [
        ("bytes", Encoding::U8, &[3], &[1, 2, 255], &[1.0, 2.0, 255.0]),
        ("f32", DType::F32.into(), &[2, 2], bytemuck::cast_slice(&floats), &floats),
        ("f16", DType::F16.into(), &[4], &f16, &floats),
        ("bf16", DType::Bf16.into(), &[2, 1, 2], &bf16, &[0.5, -2.0, 65536.0, 0.0]),
        ("f64", Encoding::F64, &[4], &f64, &floats),
        ("i64", Encoding::I64, &[2], &i64, &[7.0, -3.0]),
        ("i32", Encoding::I32, &[2], &i32, &[7.0, -3.0]),
        ("i16", Encoding::I16, &[2, 1], &i16, &[7.0, -3.0]),
        ("scalar", Encoding::I8, &[], &[0xff], &[-1.0]),
    ];
    let folder = Folder::new();
    let path = folder.path().join("all.safetensors");
    let new: Vec<_> = tensors.iter().map(|&(name, encoding, shape, bytes, _)| NewTensor { name, encoding, shape, bytes }).collect();
    write_safetensors(&path, &new).unwrap();
    let weights = Weights::open(&path).unwrap();
    for (name, encoding, shape, bytes, values) in tensors {
        assert_eq!(weights.info(name).unwrap().encoding, encoding);
        assert_eq!(weights.to_f32(name, shape).unwrap(), values, "{name}");
        if let Encoding::Float(dtype) = encoding {
            let view = weights.tensor(name, shape).unwrap();
            assert_eq!((view.dtype, &view.bytes[..]), (dtype, bytes));
        }
    }
    weights.finish().unwrap();
    // The crate that defines the format reads what was written, and nothing else was left in the folder.
    let bytes = fs::read(&path).unwrap();
    let judge = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(judge.tensor("bf16").unwrap().shape(), [2, 1, 2]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn writing_refuses_what_does_not_fit() {
    let folder = Folder::new();
    let path = folder.path().join("x.safetensors");
    let tensor = |name, bytes| NewTensor { name, encoding: DType::F32.into(), shape: &[2], bytes };
    assert!(matches!(write_safetensors(&path, &[tensor("a", &[0; 7])]), Err(Error::Input(_))));
    assert!(matches!(write_safetensors(&path, &[tensor("a", &[0; 8]), tensor("a", &[0; 8])]), Err(Error::Input(_))));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn damaged_files_are_refused() {
    let two = |a: &str, b: &str| {
        format!(r#"{{"a":{{"dtype":"F16","shape":[4],"data_offsets":{a}}},"b":{{"dtype":"F16","shape":[4],"data_offsets":{b}}}}}"#)
    };
    let f32x2 = one("F32", "[2]", 8);
    let mut cut_header = file(&f32x2, 8);
    cut_header.truncate(30);
    let huge = [&(1u64 << 60).to_le_bytes()[..], b"{}"].concat();
    let long = u64::MAX;
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("empty", vec![], &["empty"]),
        ("five bytes", vec![1; 5], &["only 5 bytes"]),
        ("cut in the header", cut_header, &["cut short", "claims a header"]),
        ("cut in the data", file(&f32x2, 7), &["cut short", "promises"]),
        ("bytes after the end", file(&f32x2, 9), &["1 bytes follow the last tensor"]),
        ("a header of 2^60 bytes", huge, &["claims a header of 1152921504606846976 bytes"]),
        ("a header of 2^64-1 bytes", [&long.to_le_bytes()[..], b"{}"].concat(), &["claims a header of 18446744073709551615"]),
        ("no JSON", file("not json", 0), &["header is damaged", "line 1"]),
        ("JSON, but no object", file("[1, 2]", 0), &["header is damaged"]),
        ("not UTF-8", [&3u64.to_le_bytes()[..], b"{\xff}"].concat(), &["header is damaged"]),
        ("deep nesting", file(&format!("{{\"a\":{}", "[".repeat(100_000)), 0), &["header is damaged"]),
        ("no offsets", file(r#"{"a":{"dtype":"F32","shape":[2]}}"#, 8), &["header is damaged", "data_offsets"]),
        ("negative extent", file(&one("F32", "[-2]", 8), 8), &["header is damaged"]),
        ("unknown type", file(&one("F4", "[4]", 2), 2), &["`a`", "F4"]),
        ("shape against offsets", file(&one("F32", "[3]", 8), 8), &["`a`", "[3]", "0 to 8"]),
        ("shape that overflows", file(&one("F32", "[4294967296,4294967296,16]", 0), 0), &["`a`", "does not fit"]),
        ("bytes that overflow", file(&one("F64", "[4611686018427387904]", 0), 0), &["`a`", "does not fit"]),
        ("ends beyond any file", file(&one("U8", "[18446744073709551615]", usize::MAX), 4), &["`a`", "beyond any file"]),
        ("ends before it begins", file(&f32x2.replace("[0,8]", "[8,0]"), 8), &["`a`", "8 to 0"]),
        ("overlap", file(&two("[0,8]", "[4,12]"), 12), &["`b`", "overlap"]),
        ("same bytes", file(&two("[0,8]", "[0,8]"), 8), &["`b`", "overlap"]),
        ("gap", file(&two("[0,8]", "[10,18]"), 18), &["`b`", "gap"]),
        ("name twice", file(&two("[0,8]", "[8,16]").replace("\"b\"", "\"a\""), 16), &["`a`", "twice"]),
    ];
    let folder = Folder::new();
    for (what, bytes, expected) in cases {
        let path = folder.write("bad.safetensors", bytes);
        let message = failure(&path);
        assert!(message.contains("bad.safetensors"), "{what}: {message}");
        assert!(expected.iter().all(|part| message.contains(part)), "{what}: {message}");
    }
}

#[test]
fn a_large_cut_file_is_found_at_once() {
    let folder = Folder::new();
    let size = 34usize << 30;
    let header = one("BF16", &format!("[{}]", size / 2), size);
    let path = folder.write("big.safetensors", file(&header, 0));
    // Sparse: takes no room on the disk.
    let set_len = |len| File::options().write(true).open(&path).unwrap().set_len(len).unwrap();
    set_len((8 + header.len() + size - 1) as u64);
    assert!(failure(&path).contains("cut short"));
    set_len((8 + header.len() + size) as u64);
    let start = processor_time();
    let weights = Weights::open(&path).unwrap();
    assert!(processor_time() - start < Duration::from_secs(1));
    assert_eq!(weights.info("a").unwrap().shape, [size / 2]);
}

#[test]
fn wrong_missing_and_left_over_tensors_are_named() {
    let folder = Folder::new();
    let names: Vec<String> = (0..12).map(|i| format!("blocks.{i:02}.weight")).collect();
    let tensors: Vec<_> =
        names.iter().map(|name| NewTensor { name, encoding: DType::F32.into(), shape: &[1, 2], bytes: &[0; 8] }).collect();
    let path = folder.path().join("model.safetensors");
    write_safetensors(&path, &tensors).unwrap();
    let weights = Weights::open(folder.path()).unwrap();

    let message = weights.tensor("blocks.00.weight", &[2, 1]).unwrap_err().to_string();
    assert!(["model.safetensors", "`blocks.00.weight`", "[2, 1]", "[1, 2]"].iter().all(|part| message.contains(part)), "{message}");
    let message = weights.tensor("blocks.00.bias", &[2]).unwrap_err().to_string();
    assert!(["model.safetensors", "`blocks.00.bias`", "missing", "[2]"].iter().all(|part| message.contains(part)), "{message}");

    // Neither failure counts as use; asking whether a tensor is there does not either.
    assert!(weights.contains("blocks.01.weight"));
    let message = weights.finish().unwrap_err().to_string();
    assert!(["12 of 12", "`blocks.00.weight`", "`blocks.07.weight`, .."].iter().all(|part| message.contains(part)), "{message}");
    assert!(!message.contains("blocks.08"), "{message}");
    weights.tensor("blocks.00.weight", &[1, 2]).unwrap();
    weights.ignore("blocks.1");
    let message = weights.finish().unwrap_err().to_string();
    assert!(message.contains("9 of 12") && !message.contains("blocks.00") && !message.contains("blocks.1"), "{message}");
    weights.ignore("blocks.0");
    weights.finish().unwrap();
}

#[test]
fn nan_and_infinity_are_found_wherever_they_are() {
    let folder = Folder::new();
    let path = folder.path().join("model.safetensors");
    let count = 3 * 5000; // more than one block of the check, and a rest
    for (dtype, bad) in [
        (DType::F32, &[0x7fc0_0000u32, 0xff80_0000, 0x7f80_0000, 0x7f80_0001][..]),
        (DType::F16, &[0x7e00, 0xfc00, 0x7c00, 0x7c01]),
        (DType::Bf16, &[0x7fc0, 0xff80, 0x7f80, 0x7f81]),
    ] {
        let width = dtype.bytes() as usize;
        for index in [0, 4096, count - 1] {
            for &word in bad {
                let mut bytes = vec![0; count * width];
                bytes[index * width..][..width].copy_from_slice(&word.to_le_bytes()[..width]);
                write_safetensors(&path, &[NewTensor { name: "w", encoding: dtype.into(), shape: &[3, 5000], bytes: &bytes }]).unwrap();
                let weights = Weights::open(&path).unwrap();
                let message = weights.tensor("w", &[3, 5000]).unwrap().check_finite().unwrap_err().to_string();
                let place = format!("element [{}, {}] is NaN", index / 5000, index % 5000);
                assert!(message.contains("`w`") && message.contains(&place), "{message}");
                assert!(weights.to_f32("w", &[3, 5000]).is_err());
            }
        }
        // The largest finite numbers are no infinities.
        let largest: u32 = match dtype {
            DType::F32 => 0xff7f_ffff,
            DType::F16 => 0xfbff,
            DType::Bf16 => 0xff7f,
        };
        write_safetensors(&path, &[NewTensor { name: "w", encoding: dtype.into(), shape: &[1], bytes: &largest.to_le_bytes()[..width] }])
            .unwrap();
        assert!(Weights::open(&path).unwrap().to_f32("w", &[1]).unwrap()[0] < -6e4);
    }
}

fn shard(name: &str) -> Vec<u8> {
    file(&format!(r#"{{"{name}":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}}}"#), 8)
}

const INDEX: &str = "diffusion_pytorch_model.safetensors.index.json";

#[test]
fn shards_are_one_checkpoint() {
    let folder = Folder::new();
    folder.write("d-00001-of-00002.safetensors", shard("a"));
    folder.write("d-00002-of-00002.safetensors", shard("b"));
    let index = r#"{"metadata":{"total_size":16},"weight_map":{"a":"d-00001-of-00002.safetensors","b":"d-00002-of-00002.safetensors"}}"#;
    let path = folder.write(INDEX, index);
    for path in [folder.path(), &path] {
        let weights = Weights::open(path).unwrap();
        assert_eq!(weights.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "b"]);
        assert!(weights.info("b").unwrap().file.ends_with("d-00002-of-00002.safetensors"));
    }

    folder.write("d-00002-of-00002.safetensors", shard("a"));
    let message = failure(folder.path());
    assert!(message.contains("d-00002") && message.contains("`a`") && message.contains("d-00001"), "in two shards: {message}");

    folder.write("d-00002-of-00002.safetensors", shard("c"));
    let message = failure(folder.path());
    assert!(message.contains("d-00002") && message.contains("`b`") && message.contains("not in this file"), "{message}");

    folder.write("d-00002-of-00002.safetensors", &shard("b")[..60]);
    assert!(failure(folder.path()).contains("cut short"));

    fs::remove_file(folder.path().join("d-00002-of-00002.safetensors")).unwrap();
    let message = failure(folder.path());
    assert!(message.contains("d-00002") && message.contains("missing"), "{message}");

    fs::remove_file(folder.path().join(INDEX)).unwrap();
    assert!(failure(folder.path()).contains("without the .safetensors.index.json"));
}

#[test]
fn an_index_is_checked() {
    let folder = Folder::new();
    folder.write("x.safetensors", shard("a"));
    for (index, expected) in [
        ("", "EOF"),
        ("{", "line 1"),
        (r#"{"metadata":{}}"#, "weight_map"),
        (r#"{"weight_map":{"a":["x.safetensors"]}}"#, "line 1"),
        (r#"{"weight_map":{"a":"../x.safetensors"}}"#, "not the name of a file beside the index"),
        (r#"{"weight_map":{"a":"/x.safetensors"}}"#, "not the name of a file beside the index"),
        (r#"{"weight_map":{"a":""}}"#, "not the name of a file beside the index"),
        (r#"{"weight_map":{"a":"y.safetensors"}}"#, "missing"),
    ] {
        folder.write(INDEX, index);
        let message = failure(folder.path());
        assert!(message.contains(expected), "{index}: {message}");
    }
}

#[test]
fn a_folder_says_which_file_it_means() {
    let folder = Folder::new();
    assert!(failure(folder.path()).contains("no .safetensors file"));
    folder.write("b.fp16.safetensors", shard("half"));
    assert!(Weights::open(folder.path()).unwrap().contains("half"));
    folder.write("model.safetensors", shard("full"));
    assert!(Weights::open(folder.path()).unwrap().contains("full"));
    folder.write("other.safetensors", shard("full"));
    assert!(failure(folder.path()).contains("several checkpoints"));
    let missing = Weights::open(folder.path().join("nothing")).unwrap_err();
    assert!(matches!(missing, Error::Io { .. }) && missing.to_string().contains("nothing"));
}

#[test]
fn configurations_are_read_or_the_place_is_named() {
    #[derive(serde::Deserialize, Debug)]
    #[allow(dead_code)]
    struct Config {
        num_layers: usize,
    }
    let folder = Folder::new();
    let path = folder.write("config.json", "{\n \"num_layers\": \"forty\"\n}");
    let message = read_json::<Config>(&path.clone().into()).unwrap_err().to_string();
    assert!(message.contains("config.json") && message.contains("line 2") && message.contains("forty"), "{message}");
    let path = folder.write("config.json", "{}");
    assert!(read_json::<Config>(&path.clone().into()).unwrap_err().to_string().contains("num_layers"));

    let text = r#"{"_class_name": "WanAnimatePipeline", "_diffusers_version": "0.42.1", "boundary_ratio": 0.875, "expand_timesteps": true,
        "transformer": ["diffusers", "WanAnimateTransformer3DModel"], "transformer_2": [null, null]}"#;
    folder.write("model_index.json", text);
    let index = ModelIndex::open(&folder.path().into()).unwrap();
    assert_eq!(index.class_name, "WanAnimatePipeline");
    assert_eq!(index.component("transformer"), Some("WanAnimateTransformer3DModel"));
    assert_eq!((index.component("transformer_2"), index.component("vae")), (None, None));
    assert_eq!((index.number("boundary_ratio"), index.number("shift")), (Some(0.875), None));
    assert_eq!((index.flag("expand_timesteps"), index.flag("boundary_ratio")), (Some(true), None));
}
