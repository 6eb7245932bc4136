//! Quantised checkpoints, which stay so on the GPU, against the same numbers as floats: bit for bit. And with LoRAs, which are added when a matrix
//! is dequantized, against the same LoRAs merged while loading.

use std::collections::BTreeMap;
use std::path::Path;

use crate::common::{Golden, assert_close, device, golden_json, golden_path, golden_weights, sample, sample_2};
use wan_animate::Lora;
use wan_animate::unversioned::dtype::DType;
use wan_animate::unversioned::layers::{Loader, Precision};
use wan_animate::unversioned::models;
use wan_animate::unversioned::models::dit::SessionOptions;
use wan_animate::unversioned::models::dit::animate2::Animate2;
use wan_animate::unversioned::models::dit::config::Config as Dit;
use wan_animate::unversioned::models::dit::names::OFFICIAL as TRANSFORMER;
use wan_animate::unversioned::models::dit::names::OFFICIAL_2;
use wan_animate::unversioned::models::spec::Sizes;
use wan_animate::unversioned::models::umt5::Encoder;
use wan_animate::unversioned::models::umt5::config::Config;
use wan_animate::unversioned::weights::{BlockFormat, Encoding, NewTensor, Weights, write_safetensors};

/// A tensor to be written.
struct Part {
    name: String,
    encoding: Encoding,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

fn floats(name: impl Into<String>, shape: &[usize], values: &[f32]) -> Part {
    Part { name: name.into(), encoding: DType::F32.into(), shape: shape.to_vec(), bytes: bytemuck::cast_slice(values).to_vec() }
}

fn write(path: &Path, parts: &[Part]) {
    let tensors: Vec<NewTensor> =
        parts.iter().map(|part| NewTensor { name: &part.name, encoding: part.encoding, shape: &part.shape, bytes: &part.bytes }).collect();
    write_safetensors(path, &tensors).expect("writes");
}

fn saved(parts: &[Part]) -> Weights {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    write(&path, parts);
    models::open(&path).expect("opens")
}

/// The same tensors in f32, under diffusers' names.
fn twin(weights: &Weights) -> Weights {
    let values = |(name, info): (&str, &wan_animate::unversioned::weights::TensorInfo)| {
        floats(name, &info.shape, &weights.to_f32(name, &info.shape).expect(name))
    };
    saved(&weights.iter().map(values).collect::<Vec<_>>())
}

/// Numbers that look random.
struct Noise(u64);

impl Noise {
    fn byte(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 56) as u8
    }

    fn values(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| f32::from(self.byte()) / 255.0 - 0.5).collect()
    }
}

fn blocks(noise: &mut Noise, block: BlockFormat, count: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..count * block.bytes()).map(|_| noise.byte()).collect();
    let scales = block.scales_at();
    for block in bytes.chunks_exact_mut(block.bytes()) {
        for &at in scales {
            let half = half::f16::from_f32((f32::from(noise.byte()) - 127.0) * 2e-6);
            block[at..at + 2].copy_from_slice(&half.to_le_bytes());
        }
    }
    bytes
}

/// A GGUF file; ggml's number of f32 is 0.
fn write_gguf(path: &Path, parts: &[(Part, u32)]) {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let mut file = [&b"GGUF\x03\0\0\0"[..], &(parts.len() as u64).to_le_bytes(), &0u64.to_le_bytes()].concat();
    let mut data: Vec<u8> = Vec::new();
    for (part, kind) in parts {
        file.extend([text(&part.name), (part.shape.len() as u32).to_le_bytes().into()].concat());
        part.shape.iter().rev().for_each(|&dim| file.extend((dim as u64).to_le_bytes()));
        file.extend([&kind.to_le_bytes()[..], &(data.len() as u64).to_le_bytes()].concat());
        data.extend(&part.bytes);
        data.resize(data.len().next_multiple_of(32), 0);
    }
    file.resize(file.len().next_multiple_of(32), 0);
    std::fs::write(path, [file, data].concat()).expect("writes");
}

/// A text encoder of one block, and its matrices in GGUF's names.
fn text_encoder() -> (Config, Vec<(&'static str, [usize; 2])>) {
    let config = serde_json::from_str(
        r#"{"vocab_size": 40, "d_model": 256, "d_kv": 64, "d_ff": 512, "num_layers": 1, "num_heads": 4, "feed_forward_proj": "gated-gelu"}"#,
    );
    let square = ["attn_q", "attn_k", "attn_v", "attn_o"].map(|name| (name, [256, 256]));
    let forward = [("ffn_gate", [512, 256]), ("ffn_up", [512, 256]), ("ffn_down", [256, 512])];
    (config.expect("a configuration"), square.into_iter().chain(forward).collect())
}

fn text_encoder_file(path: &Path, kind: BlockFormat) {
    let mut noise = Noise(7);
    let mut plain = |name: &str, shape: &[usize]| (floats(name, shape, &noise.values(shape.iter().product())), 0);
    let mut parts = vec![
        plain("token_embd.weight", &[40, 256]),
        plain("enc.output_norm.weight", &[256]),
        plain("enc.blk.0.attn_norm.weight", &[256]),
        plain("enc.blk.0.ffn_norm.weight", &[256]),
        plain("enc.blk.0.attn_rel_b.weight", &[32, 4]),
    ];
    for (name, shape) in text_encoder().1 {
        let encoding = Encoding::Block(kind);
        let bytes = blocks(&mut noise, kind, shape[0] * shape[1] / kind.elements());
        parts.push((Part { name: format!("enc.blk.0.{name}.weight"), encoding, shape: shape.to_vec(), bytes }, kind.ggml_type()));
    }
    write_gguf(path, &parts);
}

/// What a text encoder makes of a few tokens, and the memory that its weights take.
fn embeddings(weights: &Weights, precision: Precision) -> (Vec<f32>, u64) {
    let (device, mut rec) = device();
    let encoder = Encoder::load(&Loader::new(&device, weights, precision), &text_encoder().0).expect("loads");
    weights.finish().expect("all is used");
    let bytes = device.memory_use().current;
    let out = encoder.forward(&mut rec, &[3, 1, 39, 0, 17]).expect("encodes");
    (rec.download(&out).expect("reads back"), bytes)
}

#[test]
fn text_encoders_in_every_kind_of_block_equal_their_twins() {
    let folder = tempfile::tempdir().expect("a folder");
    let elements: usize = text_encoder().1.iter().map(|(_, [rows, cols])| rows * cols).sum();
    for kind in BlockFormat::ALL {
        let path = folder.path().join("umt5.gguf");
        text_encoder_file(&path, kind);
        let weights = models::open(&path).expect("opens");
        let twin = twin(&weights);
        for precision in [Precision::F32, Precision::F16] {
            let ((got, bytes), (expected, dense)) = (embeddings(&weights, precision), embeddings(&twin, precision));
            assert!(expected.iter().all(|value| value.is_finite()) && expected.iter().any(|&value| value != 0.0));
            assert_eq!(got, expected, "{} {precision:?}", kind.name());
            let saved = elements * precision.operand().bytes() as usize - elements / kind.elements() * kind.bytes();
            assert_eq!(dense - bytes, saved as u64, "{}: matrices take their stored size", kind.name());
        }
    }
}

/// How the transformer's matrices are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    E4M3,
    E5M2,
    /// ComfyUI's older dialect, and Kijai's.
    Legacy,
    /// ComfyUI's newer one.
    Described,
    /// Signed bytes with a scale for each row.
    Rows,
}

/// The tiny transformer by its official names, where keys and values of the face adapter are one matrix, with other numbers in its matrices.
fn official(form: Form) -> Weights {
    let tiny = golden_weights("tiny/transformer");
    let mut origins: BTreeMap<String, Vec<(usize, &str)>> = BTreeMap::new();
    for (name, _) in tiny.iter() {
        let origin = TRANSFORMER.to_origin(name).expect(name);
        origins.entry(origin.name).or_default().push((origin.part, name));
    }
    let (mut parts, mut noise) = (Vec::new(), Noise(1));
    for (name, mut names) in origins {
        names.sort_unstable();
        let mut shape = tiny.info(names[0].1).expect("there").shape.clone();
        let values: Vec<f32> = names.iter().flat_map(|(_, name)| tiny.to_f32(name, &shape).expect("there")).collect();
        shape[0] *= names.len();
        match name.strip_suffix(".weight").filter(|name| name.contains("block") && shape.len() == 2) {
            Some(layer) => parts.extend(quantized(layer, &shape, form, &mut noise)),
            None => parts.push(floats(&name, &shape, &values)),
        }
    }
    if form == Form::Legacy {
        parts.push(Part { name: "scaled_fp8".into(), encoding: Encoding::F8E4M3, shape: vec![0], bytes: Vec::new() });
    }
    saved(&parts)
}

fn quantized(layer: &str, shape: &[usize], form: Form, noise: &mut Noise) -> Vec<Part> {
    // Every code that is a number, or where there is no scale, of a number up to a half.
    let (encoding, codes) = match form {
        Form::E4M3 => (Encoding::F8E4M3, 0x31),
        Form::E5M2 => (Encoding::F8E5M2, 0x39),
        Form::Legacy | Form::Described => (Encoding::F8E4M3, 0x7f),
        Form::Rows => (Encoding::I8, 0x80),
    };
    let mut code = || (noise.byte() & 0x80) | (noise.byte() & 0x7f);
    let bytes = (0..shape.iter().product()).map(|_| code()).map(|code: u8| (code & 0x80) | ((code & 0x7f) % codes)).collect();
    let mut parts = vec![Part { name: format!("{layer}.weight"), encoding, shape: shape.to_vec(), bytes }];
    match form {
        Form::E4M3 | Form::E5M2 => {}
        Form::Legacy => parts.push(floats(format!("{layer}.scale_weight"), &[1], &[1.1e-3])),
        Form::Described => {
            let json = br#"{"format": "float8_e4m3fn"}"#.to_vec();
            parts.push(Part { name: format!("{layer}.comfy_quant"), encoding: Encoding::U8, shape: vec![json.len()], bytes: json });
            parts.push(floats(format!("{layer}.weight_scale"), &[], &[0.9e-3]));
        }
        Form::Rows => {
            let scales: Vec<f32> = noise.values(shape[0]).iter().map(|value| value * 5e-3).collect();
            parts.push(floats(format!("{layer}.weight_scale"), &[shape[0], 1], &scales));
        }
    }
    parts
}

#[test]
fn transformers_in_eight_bits_equal_their_twins() {
    let golden = Golden::open("parts/tiny_transformer.safetensors");
    for form in [Form::E4M3, Form::E5M2, Form::Legacy, Form::Described, Form::Rows] {
        let weights = official(form);
        let kept = weights.claim("face_adapter.0.to_v.weight", &[24, 24]).expect("there").read_quantized().expect("quantised");
        assert_eq!(kept.scales.len(), [0, 0, 1, 1, 24][form as usize]);
        let twin = twin(&weights);
        for precision in [Precision::F32, Precision::F16] {
            let (got, expected) = (sample("tiny", &weights, precision, &golden), sample("tiny", &twin, precision, &golden));
            assert!(expected.iter().all(|value| value.is_finite()) && expected.iter().any(|&value| value != 0.0));
            assert_eq!(got, expected, "{form:?} {precision:?}");
        }
    }
}

/// A transformer of Animate-2 by its official names, wide enough for whole blocks: plain tensors, and matrices within blocks.
fn animate_2() -> (Vec<Part>, Vec<(String, Vec<usize>)>) {
    let (tiny, mut noise) = (golden_weights("animate2/base/transformer"), Noise(9));
    let (mut plain, mut matrices) = (Vec::new(), Vec::new());
    for (name, info) in tiny.iter() {
        let wider = |&size: &usize| [(24, 64), (40, 128), (144, 384)].iter().find(|(from, _)| *from == size).map_or(size, |&(_, to)| to);
        let shape: Vec<usize> = info.shape.iter().map(wider).collect();
        let name = OFFICIAL_2.to_origin(name).expect(name).name;
        match name.starts_with("blocks.") && name.ends_with(".weight") && shape.len() == 2 {
            true => matrices.push((name, shape)),
            false => plain.push(floats(name, &shape, &noise.values(shape.iter().product()))),
        }
    }
    (plain, matrices)
}

/// Signed bytes with a scale for each row, turned in groups of 64 columns, as ComfyUI writes them.
fn convrot(plain: Vec<Part>, matrices: &[(String, Vec<usize>)], path: &Path) {
    let (mut parts, mut noise) = (plain, Noise(2));
    for (name, shape) in matrices {
        let layer = name.strip_suffix(".weight").expect("a weight");
        let bytes = (0..shape.iter().product()).map(|_| noise.byte().max(1)).collect();
        let json = br#"{"format": "int8_tensorwise", "convrot": true, "convrot_groupsize": 64}"#.to_vec();
        let scales: Vec<f32> = noise.values(shape[0]).iter().map(|value| value * 2e-3).collect();
        parts.push(Part { name: name.clone(), encoding: Encoding::I8, shape: shape.clone(), bytes });
        parts.push(Part { name: format!("{layer}.comfy_quant"), encoding: Encoding::U8, shape: vec![json.len()], bytes: json });
        parts.push(floats(format!("{layer}.weight_scale"), &[shape[0], 1], &scales));
    }
    write(path, &parts);
}

fn gguf(plain: Vec<Part>, matrices: &[(String, Vec<usize>)], path: &Path) {
    let (mut parts, mut noise) = (plain.into_iter().map(|part| (part, 0)).collect::<Vec<_>>(), Noise(2));
    for (name, shape) in matrices {
        let bytes = blocks(&mut noise, BlockFormat::Q8_0, shape[0] * shape[1] / 32);
        parts.push((Part { name: name.clone(), encoding: Encoding::Block(BlockFormat::Q8_0), shape: shape.clone(), bytes }, 8));
    }
    write_gguf(path, &parts);
}

/// In both eight-bit forms in which it is published.
#[test]
fn animate_2_in_eight_bits_equals_its_twins() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config: serde_json::Value = golden_json("animate2/base/transformer/config.json");
    (config["dim"], config["ffn_dim"]) = (64.into(), 128.into());
    std::fs::write(folder.path().join("config.json"), config.to_string()).expect("written");
    let (int8, q8_0) = (folder.path().join("int8_convrot.safetensors"), folder.path().join("q8_0.gguf"));
    let (plain, matrices) = animate_2();
    convrot(plain, &matrices, &int8);
    gguf(animate_2().0, &matrices, &q8_0);
    for path in [int8, q8_0] {
        let weights = models::open(&path).expect("opens");
        let config = Dit::of(&weights).expect("a configuration");
        let twin = twin(&weights);
        for precision in [Precision::F32, Precision::F16] {
            let [got, expected] = [&weights, &twin].map(|weights| {
                let (device, mut rec) = device();
                let model = Animate2::load(&Loader::new(&device, weights, precision), &config).expect("loads");
                sample_2(&mut rec, &model, SessionOptions::default(), false, usize::MAX)
            });
            assert!(expected.iter().all(|value| value.is_finite()) && expected.iter().any(|&value| value != 0.0));
            assert_eq!(got, expected, "{} {precision:?}", path.display());
        }
    }
}

fn lora(parts: &[Part]) -> Lora {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("lora.safetensors");
    write(&path, parts);
    Lora::open(&path).expect("opens")
}

/// Both strong, one negative, on the same matrices; and a third on one that is cut in two here.
fn loras() -> Vec<Lora> {
    let golden = |name: &str, weight| Lora::open(golden_path(&format!("lora/{name}.safetensors"))).expect(name).weight(weight);
    let (fused, mut noise) = ("lora_unet_face_adapter_fuser_blocks_1_linear1_kv", Noise(3));
    let parts = [
        floats(format!("{fused}.lora_down.weight"), &[2, 24], &noise.values(48)),
        floats(format!("{fused}.lora_up.weight"), &[48, 2], &noise.values(96)),
        floats(format!("{fused}.alpha"), &[], &[1.0]),
    ];
    vec![golden("native", 4.0), golden("peft", -4.0), lora(&parts).weight(0.7)]
}

fn with(mut weights: Weights, loras: &[Lora]) -> Weights {
    loras.iter().for_each(|lora| weights.add_lora(lora).expect("fits"));
    weights
}

/// The factors beside the stored numbers against what merging makes of the same, matrix by matrix.
#[test]
fn changes_of_low_rank_are_those_that_are_merged() {
    let (base, changed) = (official(Form::Rows), with(official(Form::Rows), &loras()));
    let mut ranks = Vec::new();
    for (name, info) in changed.iter().filter(|(_, info)| info.shape.len() == 2) {
        let Some(change) = changed.claim(name, &info.shape).expect("there").read_quantized().expect("read").change else {
            continue;
        };
        let (before, after) = (base.to_f32(name, &info.shape).expect("there"), changed.to_f32(name, &info.shape).expect("there"));
        for (i, (before, after)) in before.iter().zip(after).enumerate() {
            let (up, down) = (&change.up[i / info.shape[1] * change.rank..], &change.down[i % info.shape[1] * change.rank..]);
            let added: f32 = up.iter().zip(down).take(change.rank).map(|(up, down)| up * down).sum();
            // A few roundings of sums below 4.
            assert!((before + added - after).abs() < 2e-6, "{name}: {before} + {added} is not {after}");
        }
        ranks.push(change.rank);
    }
    ranks.sort_unstable();
    assert!(ranks.starts_with(&[2, 2, 3]) && ranks.ends_with(&[4, 7, 7, 7]), "{ranks:?}");
}

#[test]
fn loras_on_quantised_matrices_equal_merged_ones() {
    let golden = Golden::open("parts/tiny_transformer.safetensors");
    let (weights, plain) = (official(Form::Rows), twin(&official(Form::Rows)));
    let unchanged = sample("tiny", &plain, Precision::F32, &golden);
    let (weights, plain) = (with(weights, &loras()), with(plain, &loras()));
    // In f32 the sums of a change are rounded in another order; in f16 that moves few of the sums, which are rounded next, to the other neighbour.
    for (precision, tolerance) in [(Precision::F32, 1e-5), (Precision::F16, 2e-3)] {
        let (got, expected) = (sample("tiny", &weights, precision, &golden), sample("tiny", &plain, precision, &golden));
        assert_close(&format!("{precision:?}"), &got, &expected, tolerance);
        assert!(crate::common::difference(&unchanged, &expected).1 > 0.05, "the LoRAs make a difference");
    }
}

/// What is no product of two thin matrices is merged while loading.
#[test]
fn whole_changes_are_merged() {
    let mut noise = Noise(4);
    let diff = lora(&[
        floats("blocks.0.attn1.to_q.diff", &[24, 24], &noise.values(576)),
        floats("blocks.0.attn1.to_k.lora_A", &[12, 24], &noise.values(288)),
        floats("blocks.0.attn1.to_k.lora_B", &[24, 12], &noise.values(288)),
        floats("blocks.0.attn1.to_v.diff_b", &[24], &noise.values(24)),
    ]);
    let weights = with(official(Form::E4M3), std::slice::from_ref(&diff));
    let kept = |name: &str| weights.claim(&format!("blocks.0.attn1.{name}.weight"), &[24, 24]).expect("there").form().is_some();
    assert!(!kept("to_q") && !kept("to_k") && kept("to_v"));
    let golden = Golden::open("parts/tiny_transformer.safetensors");
    let plain = with(twin(&official(Form::E4M3)), &[diff]);
    assert_eq!(sample("tiny", &weights, Precision::F32, &golden), sample("tiny", &plain, Precision::F32, &golden));
}

#[test]
fn damaged_numbers_are_found_while_loading() {
    let (device, _) = device();
    let folder = tempfile::tempdir().expect("a folder");
    let failure = |weights: &Weights| {
        let loader = Loader::new(&device, weights, Precision::F16);
        loader.matrix("a.weight", &weights.info("a.weight").expect("there").shape).map(|_| ()).map_err(|error| error.to_string())
    };
    let eight = |encoding, bytes: Vec<u8>, scale: f32| {
        let weight = Part { name: "a.weight".into(), encoding, shape: vec![4, 64], bytes };
        failure(&saved(&[weight, floats("a.scale_weight", &[1], &[scale])]))
    };
    let with = |code, at| {
        let mut bytes = vec![1; 256];
        bytes[at] = code;
        bytes
    };
    for (encoding, code) in [(Encoding::F8E4M3, 0x7f), (Encoding::F8E4M3, 0xff), (Encoding::F8E5M2, 0x7c), (Encoding::F8E5M2, 0xfe)] {
        let message = eight(encoding, with(code, 70), 1.0).expect_err("damaged");
        assert!(message.contains("`a.weight`") && message.contains("element [1, 6] is NaN or infinite"), "{message}");
    }
    for scale in [f32::NAN, f32::INFINITY, 1e38] {
        assert!(eight(Encoding::I8, with(127, 0), scale).expect_err("damaged").contains("element [0, 0]"), "{scale}");
    }
    // The largest number of the form would be infinite with this scale, but it does not occur.
    assert_eq!(eight(Encoding::F8E4M3, with(2, 0), 1e37), Ok(()));
    for (kind, at) in BlockFormat::ALL.into_iter().flat_map(|kind| kind.scales_at().iter().map(move |&at| (kind, at))) {
        let (count, path) = (1024 / kind.elements(), folder.path().join("damaged.gguf"));
        let mut bytes = blocks(&mut Noise(5), kind, count);
        let last = (count - 1) * kind.bytes() + at;
        bytes[last..last + 2].copy_from_slice(&half::f16::INFINITY.to_le_bytes());
        let weight = Part { name: "a.weight".into(), encoding: Encoding::Block(kind), shape: vec![4, 256], bytes };
        write_gguf(&path, &[(weight, kind.ggml_type())]);
        let message = failure(&models::open(&path).expect("opens")).expect_err("damaged");
        assert!(message.contains("`a.weight`: element [3, "), "{}: {message}", kind.name());
    }
}
