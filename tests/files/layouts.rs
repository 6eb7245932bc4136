//! Checkpoints by other people's names, and quantised ones: both come out as diffusers' layout has them.

use std::path::Path;

use serde_json::Value;
use wan_animate::Error;
use wan_animate::unversioned::dtype::DType;
use wan_animate::unversioned::models;
use wan_animate::unversioned::models::clip::names::OFFICIAL as CLIP;
use wan_animate::unversioned::models::dit::names::OFFICIAL as TRANSFORMER;
use wan_animate::unversioned::models::registry::tables;
use wan_animate::unversioned::models::umt5::names::GGUF as UMT5_GGUF;
use wan_animate::unversioned::models::umt5::names::OFFICIAL as UMT5;
use wan_animate::unversioned::models::vae::names::OFFICIAL_2_1 as VAE_2_1;
use wan_animate::unversioned::models::vae::names::OFFICIAL_2_1_SHALLOW as VAE_2_1_SHALLOW;
use wan_animate::unversioned::models::vae::names::OFFICIAL_2_2 as VAE_2_2;
use wan_animate::unversioned::weights::names::Origin;
use wan_animate::unversioned::weights::names::Table;
use wan_animate::unversioned::weights::{Encoding, NewTensor, Weights, write_safetensors};

/// One tensor there: its name and shape, and those of what it becomes here.
struct Case {
    name: String,
    shape: Vec<usize>,
    becomes: Vec<(String, Vec<usize>)>,
}

const GOLDENS: [(&Table, &str); 5] =
    [(&TRANSFORMER, "animate"), (&VAE_2_1, "vae_2_1"), (&VAE_2_2, "vae_2_2"), (&UMT5, "umt5"), (&CLIP, "clip")];

fn cases(name: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/goldens/names/{name}.json"));
    let lines: Vec<Vec<Value>> = serde_json::from_slice(&std::fs::read(path).expect(name)).expect(name);
    let text = |value: &Value| value.as_str().expect("a name").to_owned();
    let shape = |value: &Value| serde_json::from_value(value.clone()).expect("a shape");
    let case = |line: &Vec<Value>| Case {
        name: text(&line[0]),
        shape: shape(&line[1]),
        becomes: line[2..].chunks(2).map(|pair| (text(&pair[0]), shape(&pair[1]))).collect(),
    };
    lines.iter().map(case).collect()
}

#[test]
fn every_official_name_is_known_both_ways() {
    for (table, golden) in GOLDENS {
        for case in cases(golden) {
            let here: Vec<&String> = case.becomes.iter().map(|(name, _)| name).collect();
            let found = table.to_diffusers(&case.name).unwrap_or_else(|| panic!("{golden}: {} is unknown", case.name));
            assert_eq!(found.iter().collect::<Vec<_>>(), here, "{golden}: {}", case.name);
            for (part, name) in here.iter().enumerate() {
                let origin = Origin { name: case.name.clone(), part, parts: here.len() };
                assert_eq!(table.to_origin(name), Some(origin), "{golden}: {name}");
            }
        }
    }
}

#[test]
fn gguf_names_of_the_text_encoder_are_known_both_ways() {
    for (there, here) in [
        ("token_embd.weight", "shared.weight"),
        ("enc.output_norm.weight", "encoder.final_layer_norm.weight"),
        ("enc.blk.23.attn_q.weight", "encoder.block.23.layer.0.SelfAttention.q.weight"),
        ("enc.blk.0.attn_rel_b.weight", "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"),
        ("enc.blk.7.ffn_gate.weight", "encoder.block.7.layer.1.DenseReluDense.wi_0.weight"),
        ("enc.blk.7.ffn_up.weight", "encoder.block.7.layer.1.DenseReluDense.wi_1.weight"),
    ] {
        assert_eq!(UMT5_GGUF.to_diffusers(there), Some(vec![here.to_owned()]));
        assert_eq!(UMT5_GGUF.to_origin(here).map(|origin| origin.name), Some(there.to_owned()));
    }
}

#[test]
fn names_of_shallow_autoencoders_are_known_both_ways() {
    for (there, here) in [
        ("encoder.downsamples.1.resample.1.weight", "encoder.down_blocks.1.resample.1.weight"),
        ("decoder.upsamples.1.residual.6.bias", "decoder.up_blocks.0.resnets.1.conv2.bias"),
        ("decoder.upsamples.2.resample.1.weight", "decoder.up_blocks.0.upsamplers.0.resample.1.weight"),
        ("decoder.upsamples.8.time_conv.weight", "decoder.up_blocks.2.upsamplers.0.time_conv.weight"),
        ("decoder.upsamples.10.residual.0.gamma", "decoder.up_blocks.3.resnets.1.norm1.gamma"),
    ] {
        assert_eq!(VAE_2_1_SHALLOW.to_diffusers(there), Some(vec![here.to_owned()]));
        assert_eq!(VAE_2_1_SHALLOW.to_origin(here).map(|origin| origin.name), Some(there.to_owned()));
    }
    for too_many in ["decoder.up_blocks.0.resnets.3.norm1.gamma", "decoder.up_blocks.4294967295.resnets.1.norm1.gamma"] {
        assert_eq!(VAE_2_1_SHALLOW.to_origin(too_many), None);
    }
}

#[test]
fn unknown_names_stay_unknown() {
    for table in tables() {
        for name in
            ["", ".", "blocks", "blocksx.0.ffn.0.weight", "blocks.x.ffn.0.weight", "something.else", "blocks.99999999999.norm1.weight"]
        {
            assert_eq!(table.to_diffusers(name), None, "{}: {name}", table.name);
        }
    }
}

/// Writes a checkpoint of the official names, with a different number in every element, and finds it again by diffusers' names and shapes.
#[test]
fn official_checkpoints_open_in_diffusers_layout() {
    let folder = tempfile::tempdir().expect("a folder");
    for (table, golden) in GOLDENS {
        for prefix in ["", "model.diffusion_model."] {
            // The motion and face encoders have fixed sizes, too large for here.
            let small = |case: &Case| case.shape.iter().product::<usize>() < 20_000;
            let cases: Vec<Case> = cases(golden).into_iter().filter(small).collect();
            let mut next = 0f32;
            let mut values = |shape: &[usize]| {
                let count: usize = shape.iter().product();
                (0..count)
                    .map(|_| {
                        next += 1.0;
                        next
                    })
                    .collect::<Vec<f32>>()
            };
            let stored: Vec<(String, Vec<f32>)> =
                cases.iter().map(|case| (format!("{prefix}{}", case.name), values(&case.shape))).collect();
            let tensors: Vec<NewTensor> = cases
                .iter()
                .zip(&stored)
                .map(|(case, (name, values))| new(name, DType::F32.into(), &case.shape, bytemuck::cast_slice(values)))
                .collect();
            let path = folder.path().join("official.safetensors");
            write_safetensors(&path, &tensors).expect("writes");
            let weights = models::open(&path).expect("opens");
            assert_eq!(weights.layout(), Some(table.name));
            for (case, (_, values)) in cases.iter().zip(&stored) {
                let parts = case.becomes.len().max(1);
                for ((name, shape), part) in case.becomes.iter().zip(values.chunks(values.len() / parts)) {
                    assert_eq!(weights.to_f32(name, shape).expect(name), part, "{golden}: {name}");
                }
            }
            weights.finish().expect("everything is used or not needed");
            let missing = weights.tensor(&cases[0].becomes.first().map_or("x".into(), |(name, _)| name.replace("bias", "x")), &[9, 9, 9]);
            assert!(missing.is_err());
        }
    }
}

#[test]
fn errors_name_the_tensor_in_its_own_layout_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    write_safetensors(&path, &[new("blocks.0.self_attn.q.weight", DType::F32.into(), &[1], &[0; 4])]).expect("writes");
    let weights = models::open(&path).expect("opens");
    let message = weights.tensor("face_adapter.0.to_v.weight", &[1]).expect_err("missing").to_string();
    assert!(
        message.contains("`face_adapter.0.to_v.weight`") && message.contains("`face_adapter.fuser_blocks.0.linear1_kv.weight`"),
        "{message}"
    );

    write_safetensors(
        &path,
        &[
            new("blocks.0.self_attn.q.weight", DType::F32.into(), &[1], &[0; 4]),
            new("face_adapter.fuser_blocks.0.linear1_kv.weight", DType::F32.into(), &[3, 1], &[0; 12]),
        ],
    )
    .expect("writes");
    let message = models::open(&path).expect_err("odd").to_string();
    assert!(message.contains("linear1_kv") && message.contains("[3, 1] cannot be cut into 2"), "{message}");
}

fn new<'a>(name: &'a str, encoding: Encoding, shape: &'a [usize], bytes: &'a [u8]) -> NewTensor<'a> {
    NewTensor { name, encoding, shape, bytes }
}

fn opened(tensors: &[NewTensor]) -> Result<Weights, Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    write_safetensors(&path, tensors).expect("writes");
    models::open(&path)
}

/// The codes of 1, 2, -1 and 0.5 in both 8-bit floats.
const E4M3: [u8; 4] = [0x38, 0x40, 0xb8, 0x30];
const E5M2: [u8; 4] = [0x3c, 0x40, 0xbc, 0x38];

#[test]
fn scales_are_applied_in_every_dialect() {
    let three = 3f32.to_le_bytes();
    let halves: Vec<u8> = [half::f16::from_f32(2.0), half::f16::from_f32(-4.0)].iter().flat_map(|x| x.to_le_bytes()).collect();
    let json = br#"{"format": "float8_e4m3fn"}"#;
    let int8 = br#"{"format": "int8_tensorwise"}"#;
    let (json_size, int8_size) = ([json.len()], [int8.len()]);
    let scaled = [3.0, 6.0, -3.0, 1.5];
    let f32 = Encoding::from(DType::F32);
    let cases: [(&str, Vec<NewTensor>, [f32; 4]); 7] = [
        ("plain", vec![new("l.weight", Encoding::F8E4M3, &[2, 2], &E4M3)], [1.0, 2.0, -1.0, 0.5]),
        (
            "legacy",
            vec![
                new("scaled_fp8", Encoding::F8E4M3, &[2], &[0; 2]),
                new("l.weight", Encoding::F8E4M3, &[2, 2], &E4M3),
                new("l.scale_weight", f32, &[1], &three),
                new("l.scale_input", f32, &[], &three),
            ],
            scaled,
        ),
        (
            "new",
            vec![
                new("l.comfy_quant", Encoding::U8, &json_size, json),
                new("l.weight", Encoding::F8E5M2, &[2, 2], &E5M2),
                new("l.weight_scale", f32, &[], &three),
                new("l.input_scale", f32, &[], &three),
            ],
            scaled,
        ),
        (
            "rows of bytes",
            vec![
                new("l.comfy_quant", Encoding::U8, &int8_size, int8),
                new("l.weight", Encoding::I8, &[2, 2], &[1, 0x80, 0xff, 127]),
                new("l.weight_scale", DType::F16.into(), &[2, 1], &halves),
            ],
            [2.0, -256.0, 4.0, -508.0],
        ),
        (
            "Quanto's rows of bytes",
            vec![
                new("l.weight._data", Encoding::I8, &[2, 2], &[1, 0x80, 0xff, 127]),
                new("l.weight._scale", DType::F16.into(), &[2, 1], &halves),
                new("l.input_scale", f32, &[], &three),
                new("l.output_scale", f32, &[], &three),
            ],
            [2.0, -256.0, 4.0, -508.0],
        ),
        (
            "Quanto's floats",
            vec![new("l.weight._data", Encoding::F8E4M3, &[2, 2], &E4M3), new("l.weight._scale", f32, &[], &three)],
            scaled,
        ),
        (
            "16 bits",
            vec![
                new("l.weight", DType::F16.into(), &[2, 2], &[0, 0x3c, 0, 0x40, 0, 0xbc, 0, 0x38]),
                new("l.scale_weight", f32, &[1], &three),
            ],
            scaled,
        ),
    ];
    for (what, tensors, expected) in cases {
        let weights = opened(&tensors).expect(what);
        assert_eq!(weights.to_f32("l.weight", &[2, 2]).expect(what), expected, "{what}");
        weights.finish().expect(what);
    }
}

#[test]
fn scales_follow_the_parts_of_a_tensor() {
    let name = |ending: &str| format!("face_adapter.fuser_blocks.0.linear1_kv.{ending}");
    let (weight, scale) = (name("weight"), name("weight_scale"));
    let factors: Vec<u8> = [1f32, 2.0, 3.0, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let sign = new("blocks.0.self_attn.q.weight", DType::F32.into(), &[1], &[0; 4]);
    let weights =
        opened(&[sign, new(&weight, Encoding::I8, &[4, 1], &[1, 1, 1, 1]), new(&scale, DType::F32.into(), &[4], &factors)]).expect("opens");
    assert_eq!(weights.to_f32("face_adapter.0.to_k.weight", &[2, 1]).expect("there"), [1.0, 2.0]);
    assert_eq!(weights.to_f32("face_adapter.0.to_v.weight", &[2, 1]).expect("there"), [3.0, 4.0]);
}

#[test]
fn a_scale_that_is_no_number_is_found() {
    let nan = f32::NAN.to_le_bytes();
    let weights =
        opened(&[new("l.weight", Encoding::F8E4M3, &[4], &E4M3), new("l.scale_weight", DType::F32.into(), &[1], &nan)]).expect("opens");
    assert!(weights.to_f32("l.weight", &[4]).expect_err("bad").to_string().contains("`l.weight`: element [0] is NaN"));
    let weights = opened(&[new("l.weight", Encoding::F8E4M3, &[2], &[0x38, 0xff])]).expect("opens");
    assert!(weights.to_f32("l.weight", &[2]).expect_err("bad").to_string().contains("element [1] is NaN"));
}

#[test]
fn unsupported_quantisations_are_named() {
    let quant = |json: &'static [u8], name: &str| {
        let weight = new("l.weight", Encoding::I8, &[4], &[0; 4]);
        let error = opened(&[weight, NewTensor { name: "l.comfy_quant", encoding: Encoding::U8, shape: &[json.len()], bytes: json }])
            .expect_err(name);
        assert!(error.to_string().contains(name) && error.to_string().contains("`l.weight`"), "{error}");
    };
    quant(br#"{"format": "mxfp8"}"#, "mxfp8");
    let weight = || new("l.weight", Encoding::U8, &[4], &[0; 4]);
    let error = opened(&[weight(), new("l.weight_scale_2", DType::F32.into(), &[], &[0; 4])]).expect_err("nvfp4");
    assert!(matches!(&error, Error::Unsupported(message) if message.contains("nvfp4")), "{error:?}");
    let error = opened(&[weight(), new("l.weight_scale", Encoding::U8, &[2], &[0; 2])]).expect_err("blocks");
    assert!(matches!(&error, Error::Weights { .. }) && error.to_string().contains("2 scales for 4 rows"), "{error:?}");
    let data = |encoding| new("l.weight._data", encoding, &[4, 1], &[0; 4]);
    let scale = |shape| new("l.weight._scale", Encoding::U8, shape, &[0; 4]);
    let error = opened(&[data(Encoding::U8), scale(&[4, 1])]).expect_err("packed");
    assert!(matches!(&error, Error::Unsupported(message) if message.contains("Quanto") && message.contains("`l.weight`")), "{error:?}");
    let error = opened(&[data(Encoding::I8), scale(&[4, 1]), new("l.weight._shift", Encoding::U8, &[4], &[0; 4])]).expect_err("shifted");
    assert!(matches!(&error, Error::Unsupported(message) if message.contains("Quanto")), "{error:?}");
    let error = opened(&[data(Encoding::I8)]).expect_err("no scale");
    assert!(error.to_string().contains("without their `_scale`"), "{error}");
    let error = opened(&[data(Encoding::I8), scale(&[1, 4])]).expect_err("scales of columns");
    assert!(error.to_string().contains("4 scales for 4 rows"), "{error}");
    let error = opened(&[data(Encoding::I8), scale(&[4, 1]), weight()]).expect_err("twice");
    assert!(error.to_string().contains("twice"), "{error}");
    let error = opened(&[weight(), new("l.comfy_quant", Encoding::U8, &[1], b"x")]).expect_err("damaged");
    assert!(error.to_string().contains("`l.comfy_quant`"), "{error}");
}
