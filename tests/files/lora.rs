//! LoRAs: against diffusers and peft, in every dialect, and those that do not fit.

use std::borrow::Cow;

use crate::common::{Golden, assert_close, difference, golden_path, golden_weights, sample};
use wan_animate::unversioned::dtype::DType;
use wan_animate::unversioned::weights::{Encoding, NewTensor, Weights, write_safetensors};
use wan_animate::video::{Frames, Motion, open_image};
use wan_animate::{AnimatePipeline, Device, Error, Event, Expert, Generation, Lora, Precision, VideoPipeline};

/// Both sides round to f32 at every step of a few hundred operations in different orders.
const SAMPLE: f64 = 2e-5;
/// Mean and largest difference of frames in [0, 1]: what f32 rounding adds up to over a few steps, the reference's own included.
const FRAMES: (f64, f64) = (5e-5, 2e-3);

fn golden_lora(name: &str, weight: f32) -> Lora {
    Lora::open(golden_path(&format!("lora/{name}.safetensors"))).expect(name).weight(weight)
}

#[test]
fn samples_equal_those_of_diffusers() {
    let expected = Golden::open("lora/samples.safetensors");
    let golden = Golden::open("parts/tiny_transformer.safetensors");
    let cases = [
        ("native", vec![golden_lora("native", 1.0)]),
        ("negative", vec![golden_lora("native", -0.5)]),
        ("both", vec![golden_lora("native", 0.7), golden_lora("peft", 1.5)]),
    ];
    for (name, loras) in cases {
        let mut weights = golden_weights("tiny/transformer");
        loras.iter().for_each(|lora| weights.add_lora(lora).expect(name));
        let got = sample("tiny", &weights, Precision::F32, &golden);
        assert_close(name, &got, expected.values(name), SAMPLE);
        // Without the LoRA it would be another result altogether.
        assert!(difference(golden.values("sample"), expected.values(name)).1 > 0.01, "{name}");
    }
}

fn check_frames(name: &str, generation: Generation) {
    let mut got = Vec::new();
    for event in generation {
        if let Event::Frame(frame) = event.expect(name) {
            got.extend_from_slice(frame.samples());
        }
    }
    let (mean, most) = difference(&got, Golden::open("lora/samples.safetensors").values(name));
    println!("{name}: mean {mean:.2e}, largest {most:.2e}");
    assert!(mean <= FRAMES.0 && most <= FRAMES.1, "{name}: mean {mean:.3e}, largest {most:.3e}");
}

#[test]
fn an_animation_equals_that_of_diffusers() {
    let device = Device::builder().build().expect("an adapter");
    let builder = AnimatePipeline::builder(&device).checkpoint(golden_path("tiny")).precision(Precision::F32);
    let pipeline = builder.lora(golden_lora("native", 0.7)).lora(golden_lora("peft", 1.5)).build().expect("builds");
    let reference = open_image(golden_path("inputs/reference.png")).expect("an image");
    let video = |name: &str| {
        let frames = Frames::open(golden_path(name)).expect(name);
        Frames::from_images((0..9).map(|i| frames.read(i).expect(name))).expect(name)
    };
    let motion = Motion::new(video("inputs/pose"), video("inputs/face_16")).expect("a motion");
    let request = pipeline.animate(&reference, &motion).size(48, 32).segment_frames(5).num_inference_steps(4).guidance_scale(1.0).seed(42);
    check_frames("animate", request.start().expect("starts"));
}

#[test]
fn a_video_by_experts_with_loras_of_their_own_equals_that_of_diffusers() {
    let device = Device::builder().build().expect("an adapter");
    let builder = VideoPipeline::builder(&device).checkpoint(golden_path("family/t2v")).precision(Precision::F32);
    let builder = builder.expert_lora(Expert::HighNoise, golden_lora("native", 0.7)).lora(golden_lora("plain", 1.5));
    let pipeline = builder.build().expect("builds");
    let request = pipeline.text_to_video("a person dances in the park and waves both hands").size(48, 32).num_frames(5);
    check_frames("t2v", request.num_inference_steps(4).guidance_scale(1.0).seed(42).start().expect("starts"));
}

/// A tensor of a LoRA file in f32.
#[derive(Clone)]
struct Part(String, Vec<usize>, Vec<f32>);

fn part(name: impl Into<String>, shape: &[usize], values: &[f32]) -> Part {
    Part(name.into(), shape.to_vec(), values.to_vec())
}

/// Different numbers of the size of weights.
fn numbers(count: usize, seed: f32) -> Vec<f32> {
    (0..count).map(|i| (seed + i as f32 * 1.7).sin() * 0.3).collect()
}

fn opened(parts: &[Part]) -> Result<Lora, Error> {
    let tensors: Vec<NewTensor> =
        parts.iter().map(|Part(name, shape, values)| new(name, DType::F32.into(), shape, bytemuck::cast_slice(values))).collect();
    opened_raw(&tensors)
}

fn opened_raw(tensors: &[NewTensor]) -> Result<Lora, Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("test-lora.safetensors");
    write_safetensors(&path, tensors).expect("writes");
    Lora::open(&path)
}

fn new<'a>(name: &'a str, encoding: Encoding, shape: &'a [usize], bytes: &'a [u8]) -> NewTensor<'a> {
    NewTensor { name, encoding, shape, bytes }
}

fn merged(lora: &Lora) -> Weights {
    let mut weights = golden_weights("tiny/transformer");
    weights.add_lora(lora).expect("fits");
    weights
}

/// A tensor's elements, in bits.
fn bits(weights: &Weights, name: &str) -> Vec<u32> {
    let shape = &weights.info(name).expect(name).shape;
    weights.to_f32(name, shape).expect(name).into_iter().map(f32::to_bits).collect()
}

/// Two modules of 24 x 24 by their names in diffusers' layout and in the official one.
const MODULES: [[&str; 2]; 2] =
    [["blocks.0.attn1.to_q", "blocks.0.self_attn.q"], ["blocks.1.attn2.add_k_proj", "blocks.1.cross_attn.k_img"]];

/// What comes before a module's name, which layout's name it is, whether `_` is for `.` in it, and what follows for the two factors.
const DIALECTS: [(&str, usize, bool, [&str; 2]); 14] = [
    ("", 0, false, [".lora_A.weight", ".lora_B.weight"]),
    ("", 1, false, [".lora_A.default.weight", ".lora_B.default.weight"]),
    ("transformer.", 0, false, [".lora_A.weight", ".lora_B.weight"]),
    ("transformer.", 0, false, [".lora_A.default.weight", ".lora_B.default.weight"]),
    ("transformer.", 0, false, [".lora.down.weight", ".lora.up.weight"]),
    ("base_model.model.", 0, false, [".lora_A.weight", ".lora_B.weight"]),
    ("base_model.model.", 1, false, [".lora_A", ".lora_B"]),
    ("pipe.dit.", 1, false, [".lora_A.default.weight", ".lora_B.default.weight"]),
    ("diffusion_model.", 1, false, [".lora_A.weight", ".lora_B.weight"]),
    ("diffusion_model.", 1, false, [".lora_down.weight", ".lora_up.weight"]),
    ("lora_unet_", 1, true, [".lora_down.weight", ".lora_up.weight"]),
    ("lora_unet__", 1, true, [".lora_down.weight", ".lora_up.weight"]),
    ("lora_transformer_", 0, true, [".lora_down.weight", ".lora_up.weight"]),
    ("lycoris_", 1, true, [".lora_down.weight", ".lora_up.weight"]),
];

#[test]
fn every_dialect_merges_the_same_bits() {
    let (down, up) = (numbers(3 * 24, 1.0), numbers(24 * 3, 2.0));
    let results = DIALECTS.map(|(prefix, layout, flat, [a, b])| {
        let mut parts = Vec::new();
        for names in MODULES {
            let module = if flat { names[layout].replace('.', "_") } else { names[layout].to_owned() };
            parts.push(part(format!("{prefix}{module}{a}"), &[3, 24], &down));
            parts.push(part(format!("{prefix}{module}{b}"), &[24, 3], &up));
            parts.push(part(format!("{prefix}{module}.alpha"), &[], &[6.0]));
        }
        let weights = merged(&opened(&parts).unwrap_or_else(|error| panic!("{prefix}: {error}")));
        MODULES.map(|[name, _]| bits(&weights, &format!("{name}.weight")))
    });
    // LoHa with a second product of ones, and LoKr with a first factor of one, are the same.
    let (ones, one) = ([1.0; 24], part("lora_unet_blocks_0_self_attn_q.lokr_w1", &[1, 1], &[1.0]));
    let loha = |name: &str, shape: &[usize], values: &[f32]| part(format!("blocks.0.attn1.to_q.{name}"), shape, values);
    let lokr = |name: &str, shape: &[usize], values: &[f32]| part(format!("lora_unet_blocks_0_self_attn_q.{name}"), shape, values);
    let others = [
        vec![
            loha("hada_w1_a", &[24, 3], &up),
            loha("hada_w1_b", &[3, 24], &down),
            loha("hada_w2_a", &[24, 1], &ones),
            loha("hada_w2_b", &[1, 24], &ones),
            loha("alpha", &[1], &[6.0]),
        ],
        vec![one, lokr("lokr_w2_a", &[24, 3], &up), lokr("lokr_w2_b", &[3, 24], &down), lokr("alpha", &[], &[6.0])],
    ];
    let others = others.map(|parts| bits(&merged(&opened(&parts).expect("opens")), "blocks.0.attn1.to_q.weight"));

    let base = golden_weights("tiny/transformer").to_f32("blocks.0.attn1.to_q.weight", &[24, 24]).expect("there");
    for (i, (got, base)) in results[0][0].iter().zip(base).enumerate() {
        let product: f32 = (0..3).map(|k| up[i / 24 * 3 + k] * down[k * 24 + i % 24]).sum();
        // Alpha over rank is 2. A few roundings of numbers below 1.
        assert!((f32::from_bits(*got) - (base + 2.0 * product)).abs() < 1e-6, "element {i}");
    }
    for (result, dialect) in results.iter().zip(DIALECTS) {
        assert!(*result == results[0], "{dialect:?}");
    }
    assert!(others[0] == results[0][0] && others[1] == results[0][0], "LoHa or LoKr");
}

#[test]
fn alpha_may_be_of_any_type() {
    let (down, up) = (numbers(4 * 24, 1.0), numbers(24 * 4, 2.0));
    let results = [
        (Encoding::I64, 1i64.to_le_bytes().to_vec()),
        (Encoding::I32, 1i32.to_le_bytes().to_vec()),
        (Encoding::F64, 1f64.to_le_bytes().to_vec()),
        (DType::F32.into(), 1f32.to_le_bytes().to_vec()),
        (DType::Bf16.into(), half::bf16::ONE.to_le_bytes().to_vec()),
    ]
    .map(|(encoding, one)| {
        let lora = opened_raw(&[
            new("diffusion_model.blocks.0.self_attn.q.lora_down.weight", DType::F32.into(), &[4, 24], bytemuck::cast_slice(&down)),
            new("diffusion_model.blocks.0.self_attn.q.lora_up.weight", DType::F32.into(), &[24, 4], bytemuck::cast_slice(&up)),
            new("diffusion_model.blocks.0.self_attn.q.alpha", encoding, &[], &one),
        ]);
        bits(&merged(&lora.expect("opens")), "blocks.0.attn1.to_q.weight")
    });
    // Without alpha the strength is 1, not 1 / 4.
    let without = opened(&[part("blocks.0.attn1.to_q.lora_down", &[4, 24], &down), part("blocks.0.attn1.to_q.lora_up", &[24, 4], &up)]);
    let without = without.expect("opens").weight(0.25);
    assert!(results.iter().all(|result| *result == bits(&merged(&without), "blocks.0.attn1.to_q.weight")));
}

/// What a LoRA adds to each element of a tensor, to within the rounding of sums below 2.
fn check_added(weights: &Weights, name: &str, expected: &[f32]) {
    let base = golden_weights("tiny/transformer");
    let shape = &weights.info(name).expect(name).shape;
    let (got, base) = (weights.to_f32(name, shape).expect(name), base.to_f32(name, shape).expect(name));
    let added: Vec<f32> = got.iter().zip(&base).map(|(got, base)| got - base).collect();
    assert!(difference(&added, expected).1 < 5e-7, "{name}: {:?} is not {:?}", &added[..4], &expected[..4]);
}

#[test]
fn whole_changes_and_other_shapes_are_merged() {
    let (weight, bias, modulation, head) = (numbers(24 * 24, 1.0), numbers(24, 2.0), numbers(144, 3.0), numbers(48, 4.0));
    let (fused, squeezed, conv) = (numbers(48, 5.0), numbers(8, 6.0), [numbers(2 * 144, 7.0), numbers(24 * 2, 8.0)]);
    let (outer, inner) = (numbers(2 * 4, 9.0), numbers(24 * 6, 10.0));
    let kv = "diffusion_model.face_adapter.fuser_blocks.1.linear1_kv";
    let lora = opened(&[
        part("diffusion_model.blocks.0.self_attn.q.diff", &[24, 24], &weight),
        part("diffusion_model.blocks.0.self_attn.q.diff_b", &[24], &bias),
        part("diffusion_model.blocks.0.diff_m", &[1, 6, 24], &modulation),
        part("diffusion_model.head.modulation.diff", &[1, 2, 24], &head),
        part("diffusion_model.blocks.1.norm3.diff", &[24], &bias),
        part(format!("{kv}.diff_b"), &[48], &fused),
        // The factor of one row in front is cut in two with the fused matrix that it makes.
        part(format!("{kv}.lokr_w1"), &[2, 4], &outer),
        part(format!("{kv}.lokr_w2"), &[24, 6], &inner),
        part("diffusion_model.motion_encoder.enc.net_app.convs.0.1.diff_b", &[1, 8, 1, 1], &squeezed),
        part("diffusion_model.patch_embedding.lora_down.weight", &[2, 36, 1, 2, 2], &conv[0]),
        part("diffusion_model.patch_embedding.lora_up.weight", &[24, 2, 1, 1, 1], &conv[1]),
        part("diffusion_model.patch_embedding.alpha", &[], &[1.0]),
        part("transformer.proj_out.lora_A.weight", &[1, 24], &[0.0; 24]),
        part("transformer.proj_out.lora_B.weight", &[64, 1], &[0.0; 64]),
        part("transformer.proj_out.lora_B.bias", &[64], &[0.25; 64]),
    ]);
    let weights = merged(&lora.expect("opens").weight(-2.0));
    let twice = |values: &[f32]| values.iter().map(|value| value * -2.0).collect::<Vec<_>>();
    check_added(&weights, "blocks.0.attn1.to_q.weight", &twice(&weight));
    check_added(&weights, "blocks.0.attn1.to_q.bias", &twice(&bias));
    check_added(&weights, "blocks.0.scale_shift_table", &twice(&modulation));
    check_added(&weights, "scale_shift_table", &twice(&head));
    check_added(&weights, "blocks.1.norm2.weight", &twice(&bias));
    check_added(&weights, "face_adapter.1.to_k.bias", &twice(&fused[..24]));
    check_added(&weights, "face_adapter.1.to_v.bias", &twice(&fused[24..]));
    check_added(&weights, "motion_encoder.conv_in.act_fn.bias", &twice(&squeezed));
    check_added(&weights, "proj_out.bias", &[-0.5; 64]);
    let kronecker: Vec<f32> = (0..48 * 24).map(|i| outer[i / 24 / 24 * 4 + i % 24 / 6] * inner[i / 24 % 24 * 6 + i % 6]).collect();
    check_added(&weights, "face_adapter.1.to_k.weight", &twice(&kronecker[..576]));
    check_added(&weights, "face_adapter.1.to_v.weight", &twice(&kronecker[576..]));
    // Alpha over rank is a half.
    let product = |i: usize| -(0..2).map(|k| conv[1][i / 144 * 2 + k] * conv[0][k * 144 + i % 144]).sum::<f32>();
    check_added(&weights, "patch_embedding.weight", &(0..24 * 144).map(product).collect::<Vec<_>>());
}

#[test]
fn a_fused_module_is_that_of_its_parts() {
    let (down, up) = (numbers(2 * 24, 1.0), numbers(48 * 2, 2.0));
    let fused = "lora_unet_face_adapter_fuser_blocks_0_linear1_kv";
    let fused = opened(&[part(format!("{fused}.lora_down"), &[2, 24], &down), part(format!("{fused}.lora_up"), &[48, 2], &up)]);
    let cut = |name: &str, up: &[f32]| {
        [part(format!("face_adapter.0.{name}.lora_A"), &[2, 24], &down), part(format!("face_adapter.0.{name}.lora_B"), &[24, 2], up)]
    };
    let parts: Vec<Part> = cut("to_k", &up[..48]).into_iter().chain(cut("to_v", &up[48..])).collect();
    let (fused, parts) = (merged(&fused.expect("opens")), merged(&opened(&parts).expect("opens")));
    for name in ["face_adapter.0.to_k.weight", "face_adapter.0.to_v.weight"] {
        assert_eq!(bits(&fused, name), bits(&parts, name), "{name}");
    }
}

#[test]
fn what_is_not_changed_stays_in_the_file() {
    let mut weights = golden_weights("sharded/transformer");
    weights.add_lora(&opened(&[part("blocks.0.attn1.to_q.diff_b", &[64], &[0.5; 64])]).expect("opens")).expect("fits");
    let bias = |module: &str| weights.tensor(&format!("blocks.0.attn1.{module}.bias"), &[64]).expect(module);
    assert_eq!(bias("to_q").dtype, DType::F32);
    let untouched = bias("to_k");
    assert!(untouched.dtype == DType::Bf16 && matches!(untouched.bytes, Cow::Borrowed(_)));
    let before = golden_weights("sharded/transformer").to_f32("blocks.0.attn1.to_q.bias", &[64]).expect("there");
    assert_eq!(bias("to_q").to_f32().expect("finite"), before.iter().map(|value| value + 0.5).collect::<Vec<_>>());
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let base = |parts: &[Part]| golden_weights("tiny/transformer").add_lora(&opened(parts)?);
    let q = |role: &str, shape: &[usize]| part(format!("blocks.0.attn1.to_q.{role}"), shape, &vec![0.0; shape.iter().product()]);
    let unmatched: Vec<Part> =
        (0..11).map(|i| part(format!("diffusion_model.blocks.{i}.self_attn.q.diff"), &[24, 24], &[0.0; 576])).collect();
    let nan = part("blocks.0.attn1.to_q.diff_b", &[24], &[f32::NAN; 24]);
    let cases = [
        (
            base(&unmatched),
            vec!["9 of its 11 modules match nothing", "`diffusion_model.blocks.2.self_attn.q.diff`", "`, ..", "transformer"],
        ),
        (base(&[q("lora_A", &[3, 24]), q("lora_B", &[24, 4])]), vec!["to_q.lora_B", "[24, 4] does not go with", "[3, 24]"]),
        (base(&[q("lora_A", &[0, 24]), q("lora_B", &[24, 0])]), vec!["to_q.lora_B", "does not go with"]),
        (
            base(&[q("lora_A", &[3, 25]), q("lora_B", &[24, 3])]),
            vec!["to_q.lora_B", "24 x 25 does not fit `blocks.0.attn1.to_q.weight`", "[24, 24]"],
        ),
        (base(&[q("diff", &[24, 23])]), vec!["to_q.diff", "does not fit"]),
        (base(&[q("lokr_w1", &[5, 2]), q("lokr_w2", &[5, 12])]), vec!["25 x 24 does not fit"]),
        (base(&[q("lokr_w1", &[5, 2])]), vec!["to_q.lokr_w1", "missing"]),
        (base(&[q("lora_B", &[24, 3])]), vec!["to_q.lora_B", "missing"]),
        (base(&[q("alpha", &[2]), q("lora_A", &[3, 24]), q("lora_B", &[24, 3])]), vec!["to_q.alpha", "one number"]),
        (base(&[q("lora_A", &[3, 24]), q("lora_down", &[3, 24]), q("lora_B", &[24, 3])]), vec!["same part of the same module"]),
        (base(&[nan]), vec!["test-lora.safetensors", "to_q.diff_b", "element [0] is NaN"]),
        (base(&[q("dora_scale", &[24])]), vec!["to_q.dora_scale", "missing"]),
        (base(&[q("lora_A", &[3, 24]), q("lora_B", &[24, 3]), q("dora_scale", &[23, 1])]), vec!["the magnitudes of this DoRA do not fit"]),
        (base(&[q("lora_A", &[3, 24]), q("lora_B", &[24, 3]), q("dora_scale", &[1, 1])]), vec!["the magnitudes of this DoRA do not fit"]),
        (base(&[q("hada_t1", &[24])]), vec!["LoHa with a core tensor"]),
        (base(&[q("weight", &[24, 24])]), vec!["1 of 1 tensors are no part of a LoRA", "to_q.weight"]),
    ];
    for (result, words) in cases {
        let message = result.expect_err(words[0]).to_string();
        for word in words {
            assert!(message.contains(word), "`{message}` does not say `{word}`");
        }
    }
}

#[test]
fn weights_out_of_range_and_experts_that_are_not_there_are_refused() {
    for weight in [4.5, -4.1, f32::NAN, f32::INFINITY] {
        let error = golden_weights("tiny/transformer").add_lora(&golden_lora("native", weight)).expect_err("out of range");
        assert!(matches!(&error, Error::Input(message) if message.contains("from -4 to 4")), "{error}");
    }
    let device = Device::builder().build().expect("an adapter");
    let builder = VideoPipeline::builder(&device).checkpoint(golden_path("family/ti2v"));
    let error = builder.expert_lora(Expert::LowNoise, golden_lora("native", 1.0)).build().expect_err("one transformer");
    assert!(matches!(&error, Error::Input(message) if message.contains("low-noise expert")), "{error}");
}

/// What peft adds for files whose alpha stands in their metadata or beside them, and for the official relighting LoRA.
#[test]
fn strength_is_found_wherever_it_stands() {
    let deltas = golden_weights("lora/strength/deltas.safetensors");
    for (name, info) in deltas.iter() {
        let (file, module) = name.split_once(':').expect("a file and a module");
        let lora = Lora::open(golden_path(&format!("lora/strength/{file}"))).expect(file);
        println!("{name}");
        check_added(&merged(&lora), &format!("{module}.weight"), &deltas.to_f32(name, &info.shape).expect(name));
    }
}

/// The official file against a repack of it in f16, whose factors are off by 2^-11.
#[test]
fn the_relighting_lora_is_read_from_the_release_and_from_repacks() {
    let open = |name: &str| merged(&Lora::open(golden_path(&format!("lora/strength/{name}"))).expect(name));
    let (official, repack) = (open("relighting_lora.ckpt"), open("relighting_repack.safetensors"));
    let base = golden_weights("tiny/transformer");
    let mut changed = 0;
    for (name, info) in base.iter() {
        let [a, b, base] = [&official, &repack, &base].map(|weights| weights.to_f32(name, &info.shape).expect(name));
        let (difference, change) = (difference(&a, &b).1, difference(&a, &base).1);
        assert!(difference <= 1e-3 * change, "{name}: {difference} of {change}");
        changed += usize::from(change > 0.0);
    }
    // Twelve linear layers in each of two blocks.
    assert_eq!(changed, 24);
}

#[test]
fn damaged_metadata_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("lora.safetensors");
    let open = |key: &str, value: &str| {
        let metadata = serde_json::json!({ key: value });
        let factor =
            |shape: [usize; 2], begin: usize| serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, begin + 96]});
        let header = serde_json::json!({
            "__metadata__": metadata, "a.lora_down.weight": factor([1, 24], 0), "a.lora_up.weight": factor([24, 1], 96)
        });
        let header = header.to_string();
        std::fs::write(&path, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 192]].concat()).expect("writes");
        Lora::open(&path)
    };
    for (key, value, word) in [
        ("ss_network_alpha", "much", "`ss_network_alpha` is damaged"),
        ("lora_adapter_metadata", "{", "`lora_adapter_metadata` is damaged"),
        ("lora_adapter_metadata", r#"{"transformer.lora_alpha": "much"}"#, "`lora_adapter_metadata` is damaged"),
        ("lora_adapter_metadata", r#"{"alpha_pattern": {"^blocks": 3}}"#, "the alpha pattern `^blocks`"),
    ] {
        let message = open(key, value).expect_err(word).to_string();
        assert!(message.contains(word) && message.contains("lora.safetensors"), "{message}");
    }
    for value in ["None", "0", "16"] {
        drop(open("ss_network_alpha", value).expect(value));
    }
}

/// A rank of two on each of these modules of 24 x 24, and changes of their biases.
fn distilled(modules: &[&str]) -> Vec<Part> {
    let mut parts = Vec::new();
    for (module, seed) in modules.iter().zip(1u8..) {
        parts.push(part(format!("{module}.lora_down.weight"), &[2, 24], &numbers(48, f32::from(seed))));
        parts.push(part(format!("{module}.lora_up.weight"), &[24, 2], &numbers(48, f32::from(seed) + 0.5)));
        parts.push(part(format!("{module}.diff_b"), &[24], &numbers(24, f32::from(seed) + 0.7)));
    }
    parts
}

/// What was logged.
static LOGGED: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }

    fn log(&self, record: &log::Record) {
        LOGGED.lock().expect("whole").push(record.args().to_string());
    }

    fn flush(&self) {}
}

/// A LoRA of Wan2.1's I2V on a transformer without an image branch: as other programs take it, and as `strict` does.
#[test]
fn changes_of_absent_parts_are_left_out() {
    if log::set_logger(&Logger).is_ok() {
        log::set_max_level(log::LevelFilter::Warn);
    }
    let base = || golden_weights("family/t2v/transformer");
    let own = ["diffusion_model.blocks.0.self_attn.q", "diffusion_model.blocks.1.cross_attn.k"];
    let image =
        ["diffusion_model.blocks.0.cross_attn.k_img", "diffusion_model.blocks.1.cross_attn.v_img", "transformer.blocks.1.attn2.add_k_proj"];
    let mut parts = distilled(&[&own[..], &image].concat());
    parts.push(part("diffusion_model.blocks.1.cross_attn.norm_k_img.diff", &[24], &numbers(24, 3.0)));
    parts.push(part("diffusion_model.img_emb.proj.1.diff_b", &[24], &numbers(24, 4.0)));
    parts.push(part("lora_unet_blocks_0_cross_attn_v_img.diff_b", &[24], &numbers(24, 5.0)));
    parts.push(part("diffusion_model.face_adapter.fuser_blocks.0.linear1_q.diff_b", &[24], &numbers(24, 6.0)));
    let (whole, rest) = (opened(&parts).expect("opens"), opened(&distilled(&own)).expect("opens"));
    let [mut got, mut expected] = [base(), base()];
    got.add_lora(&whole).expect("the others fit");
    expected.add_lora(&rest).expect("fits");
    for (name, _) in base().iter() {
        assert_eq!(bits(&got, name), bits(&expected, name), "{name}");
    }
    // Merged again, as a plan and a pipeline do, it is said once.
    base().add_lora(&whole).expect("the others fit");
    let logged: Vec<String> = LOGGED.lock().expect("whole").iter().filter(|line| line.contains("left out")).cloned().collect();
    assert!(
        matches!(&logged[..], [line] if line.contains("7 of its 9 modules match nothing") && line.contains("`lora_unet_blocks_0_cross_attn_v_img.diff_b`")),
        "{logged:?}"
    );

    let error = base().add_lora(&whole.strict(true)).expect_err("strict").to_string();
    assert!(error.contains("7 of its 9 modules match nothing"), "{error}");
    // A LoRA of nothing but absent parts is for another model.
    let error = base().add_lora(&opened(&distilled(&image[..1])).expect("opens")).expect_err("nothing fits").to_string();
    assert!(error.contains("1 of its 1 modules match nothing"), "{error}");
    // Where the branch is there it counts, and a block that is not is no absent part.
    golden_weights("tiny/transformer").add_lora(&opened(&distilled(&image)).expect("opens")).expect("fits");
    for module in ["diffusion_model.blocks.40.self_attn.q", "diffusion_model.blocks.0.self_attn.z", "blocks.0.attn9.to_q", "input_blocks.0"]
    {
        let error = base().add_lora(&opened(&distilled(&[module, own[0]])).expect("opens")).expect_err(module).to_string();
        assert!(error.contains("1 of its 2 modules match nothing") && error.contains(module), "{error}");
    }
}

/// Some programs write infinity there.
#[test]
fn alpha_of_whole_factors_says_nothing() {
    let (outer, inner) = (numbers(4 * 4, 1.0), numbers(6 * 6, 2.0));
    let module = "lycoris_blocks_0_self_attn_q";
    let factors = || vec![part(format!("{module}.lokr_w1"), &[4, 4], &outer), part(format!("{module}.lokr_w2"), &[6, 6], &inner)];
    let expected = bits(&merged(&opened(&factors()).expect("opens")), "blocks.0.attn1.to_q.weight");
    for alpha in [1.0, 0.0, 1e10, f32::INFINITY, f32::NAN] {
        let parts = [factors(), vec![part(format!("{module}.alpha"), &[], &[alpha])]].concat();
        assert_eq!(bits(&merged(&opened(&parts).expect("opens")), "blocks.0.attn1.to_q.weight"), expected, "{alpha}");
    }
}

/// DoRA: the changed matrix with rows, or columns, of given lengths.
#[test]
fn magnitudes_are_merged() {
    let (down, up) = (numbers(3 * 24, 1.0), numbers(24 * 3, 2.0));
    let lengths: Vec<f32> = (0..24).map(|i| 0.5 + i as f32 / 8.0).collect();
    let base = golden_weights("tiny/transformer").to_f32("blocks.0.attn1.to_q.weight", &[24, 24]).expect("there");
    // Alpha over rank is 2.
    let delta = |i: usize| 2.0 * (0..3).map(|k| f64::from(up[i / 24 * 3 + k]) * f64::from(down[k * 24 + i % 24])).sum::<f64>();
    let changed: Vec<f64> = (0..576).map(|i| f64::from(base[i]) + delta(i)).collect();
    let norm = |places: &mut dyn Iterator<Item = usize>| places.map(|i| changed[i] * changed[i]).sum::<f64>().sqrt();
    let by_row = |i: usize| changed[i] * f64::from(lengths[i / 24]) / norm(&mut (0..24).map(|col| i / 24 * 24 + col));
    let by_col = |i: usize| changed[i] * f64::from(lengths[i % 24]) / norm(&mut (0..24).map(|row| row * 24 + i % 24));
    type Expected<'a> = &'a dyn Fn(usize) -> f64;
    let cases: [(&str, &str, &[usize], Expected); 4] = [
        ("diffusion_model.blocks.0.self_attn.q", "dora_scale", &[24, 1], &by_row),
        ("diffusion_model.blocks.0.self_attn.q", "dora_scale", &[1, 24], &by_col),
        ("transformer.blocks.0.attn1.to_q", "lora_magnitude_vector", &[24], &by_row),
        ("base_model.model.blocks.0.self_attn.q", "lora_magnitude_vector.default.weight", &[24], &by_row),
    ];
    for (module, magnitude, shape, expected) in cases {
        let lora = opened(&[
            part(format!("{module}.lora_down.weight"), &[3, 24], &down),
            part(format!("{module}.lora_up.weight"), &[24, 3], &up),
            part(format!("{module}.alpha"), &[], &[6.0]),
            part(format!("{module}.{magnitude}"), shape, &lengths),
        ]);
        let lora = lora.expect("opens");
        for weight in [1.0f32, 0.5, -1.0] {
            // A part of the way from the matrix to the changed one.
            let got = merged(&lora.clone().weight(weight)).to_f32("blocks.0.attn1.to_q.weight", &[24, 24]).expect("there");
            for (i, got) in got.into_iter().enumerate() {
                let expected = f64::from(base[i]) + f64::from(weight) * (expected(i) - f64::from(base[i]));
                assert!((f64::from(got) - expected).abs() < 2e-6, "{module}, {shape:?}, {weight}: {got} is not {expected}");
            }
        }
    }
    // PEFT has those of a convolution's rows along its second axis.
    let module = "transformer.patch_embedding";
    let lora = opened(&[
        part(format!("{module}.lora_A.weight"), &[2, 36, 1, 2, 2], &numbers(288, 7.0)),
        part(format!("{module}.lora_B.weight"), &[24, 2, 1, 1, 1], &numbers(48, 8.0)),
        part(format!("{module}.lora_magnitude_vector"), &[1, 24, 1, 1, 1], &lengths),
    ]);
    let values = merged(&lora.expect("opens")).to_f32("patch_embedding.weight", &[24, 36, 1, 2, 2]).expect("there");
    for (row, length) in values.chunks(144).zip(&lengths) {
        let found = row.iter().map(|value| value * value).sum::<f32>().sqrt();
        assert!((found - length).abs() < 4e-6, "{found} is not {length}");
    }
    // A fused module's rows are shared out.
    let (fused, long) = ("diffusion_model.face_adapter.fuser_blocks.0.linear1_kv", numbers(48, 3.0));
    let lora = opened(&[
        part(format!("{fused}.lora_down.weight"), &[3, 24], &down),
        part(format!("{fused}.lora_up.weight"), &[48, 3], &numbers(144, 2.0)),
        part(format!("{fused}.dora_scale"), &[48, 1], &long),
    ]);
    let weights = merged(&lora.expect("opens"));
    for (name, lengths) in ["to_k", "to_v"].iter().zip(long.chunks(24)) {
        let values = weights.to_f32(&format!("face_adapter.0.{name}.weight"), &[24, 24]).expect("there");
        for (row, length) in values.chunks(24).zip(lengths) {
            let found = row.iter().map(|value| value * value).sum::<f32>().sqrt();
            assert!((found - length.abs()).abs() < 2e-6, "{name}: {found} is not {length}");
        }
    }
}
