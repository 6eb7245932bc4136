//! The published files' tensors, by their real names and at their full sizes: every one is found under the name and shape that the models load.

use std::collections::BTreeMap;
use std::path::Path;

use crate::published::{Named, tensors, write_gguf, write_safetensors, write_shards, write_torch, write_torch_in};
use wan_animate::Lora;
use wan_animate::unversioned::models;
use wan_animate::unversioned::models::coverage::Coverage;
use wan_animate::unversioned::models::registry::model_of;

fn named(name: impl Into<String>, dtype: &'static str, shape: &[usize]) -> Named {
    Named { name: name.into(), dtype, shape: shape.into() }
}

fn prefixed(prefix: &str, mut tensors: Vec<Named>) -> Vec<Named> {
    tensors.iter_mut().for_each(|tensor| tensor.name.insert_str(0, prefix));
    tensors
}

/// How a layer's weights in 8 bits are described beside them: the endings of the scale and of what else there is.
#[derive(Clone, Copy)]
enum Scaled {
    /// ComfyUI's older files, and Kijai's.
    Legacy,
    /// ComfyUI's newer ones.
    Described,
    /// Whole rows of bytes.
    Rows,
}

/// Every matrix of the blocks as 8-bit numbers with scales, as repacks of 16-bit files have them.
fn scaled(tensors: Vec<Named>, dialect: Scaled) -> Vec<Named> {
    let mut result = Vec::new();
    for mut tensor in tensors {
        let layer = tensor.name.strip_suffix(".weight").filter(|name| name.contains("block") && tensor.shape.len() == 2).map(String::from);
        if let Some(layer) = layer {
            let rows = tensor.shape[0];
            tensor.dtype = if matches!(dialect, Scaled::Rows) { "I8" } else { "F8_E4M3" };
            match dialect {
                Scaled::Legacy => result.push(named(format!("{layer}.scale_weight"), "F32", &[1])),
                // What it says is data, and a sparse file has none: without it the numbers' own type counts.
                Scaled::Described => result.push(named(format!("{layer}.weight_scale"), "F32", &[])),
                Scaled::Rows => result.push(named(format!("{layer}.weight_scale"), "F32", &[rows, 1])),
            }
        }
        result.push(tensor);
    }
    if matches!(dialect, Scaled::Legacy) {
        result.push(named("scaled_fp8", "F8_E4M3", &[0]));
    }
    result
}

/// As quantised GGUF files have them: matrices in blocks where their rows are whole ones, all else in f32 or f16.
fn q4_k(tensor: &Named) -> (u32, u64, u64) {
    match tensor.shape[..] {
        [_, cols] if cols % 256 == 0 => (12, 256, 144),
        [_, cols] if cols % 32 == 0 => (8, 32, 34),
        [_] => (0, 1, 4),
        _ => (1, 1, 2),
    }
}

/// Opens a checkpoint and compares all its tensors with those of `twin` and those `besides`.
fn check(path: &Path, what: &str, twin: &[Named], besides: &[&str]) {
    let weights = models::open(path).unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut found: BTreeMap<&str, &[usize]> = weights.iter().map(|(name, info)| (name, &info.shape[..])).collect();
    for name in besides {
        assert!(found.remove(name).is_some(), "{what}: no {name}");
    }
    for Named { name, shape, .. } in twin {
        assert_eq!(found.remove(name.as_str()), Some(&shape[..]), "{what}: {name}");
    }
    assert!(found.is_empty(), "{what}: nothing loads {:?}", found.keys().take(8).collect::<Vec<_>>());
    // The model's own loading asks for these tensors in these shapes, and for no others.
    let model = model_of(&weights).unwrap_or_else(|| panic!("{what}: no model"));
    let Coverage { unknown, missing, misshapen, failure, .. } = Coverage::of(model, &weights);
    assert!(unknown.is_empty() && missing.is_empty() && misshapen.is_empty(), "{what}: {unknown:?}, {missing:?}, {misshapen:?}");
    assert!(failure.is_none(), "{what}: {failure:?}");
    println!("{what}: {} tensors, all mapped", twin.len());
}

/// The transformers: what they are, their official names and those of diffusers.
const TRANSFORMERS: [(&str, &str, &str); 7] = [
    ("Wan2.2-Animate-14B", "official_animate", "diffusers_animate"),
    ("Wan2.2-T2V-A14B and Wan2.1-T2V-14B", "official_t2v_14b", "diffusers_t2v_14b"),
    ("Wan2.2-I2V-A14B", "official_i2v_2_2", "diffusers_i2v_2_2"),
    ("Wan2.2-TI2V-5B", "official_ti2v", "diffusers_ti2v"),
    ("Wan2.1-T2V-1.3B", "official_t2v_1_3b", "diffusers_t2v_1_3b"),
    ("Wan2.1-I2V-14B", "official_i2v_2_1", "diffusers_i2v_2_1"),
    ("Wan2.1-FLF2V-14B", "official_flf2v_2_1", "diffusers_flf2v_2_1"),
];

#[test]
fn transformers_in_every_layout() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("model.safetensors");
    for (model, official, diffusers) in TRANSFORMERS {
        let (there, here) = (|| tensors(official, "BF16"), tensors(diffusers, "BF16"));
        let shards = tempfile::tempdir().expect("a folder");
        write_shards(shards.path(), &there(), 7);
        check(shards.path(), &format!("{model}, official shards"), &here, &[]);
        let shards = tempfile::tempdir().expect("a folder");
        write_shards(shards.path(), &here, 14);
        check(shards.path(), &format!("{model}, diffusers"), &here, &[]);
        let files = [
            ("ComfyUI", there()),
            ("ComfyUI, with a prefix", prefixed("model.diffusion_model.", there())),
            ("Kijai, fp8 scaled", scaled(there(), Scaled::Legacy)),
            ("ComfyUI, fp8 scaled, with a prefix", prefixed("model.diffusion_model.", scaled(there(), Scaled::Legacy))),
            ("ComfyUI, fp8 scaled, newer", scaled(there(), Scaled::Described)),
            ("int8 by rows", scaled(there(), Scaled::Rows)),
        ];
        for (layout, tensors) in files {
            write_safetensors(&file, &tensors);
            check(&file, &format!("{model}, {layout}"), &here, &[]);
        }
        let path = folder.path().join("model.gguf");
        write_gguf(&path, &there(), q4_k);
        check(&path, &format!("{model}, GGUF"), &here, &[]);
    }
}

/// Official names with one more level within blocks, diffusers' own, and those of Wan2.1's I2V in ComfyUI's files.
#[test]
fn animate_2_in_every_layout() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("model.safetensors");
    let (plain, here) = (|| tensors("official_i2v_2_1", "BF16"), tensors("diffusers_i2v_2_1", "BF16"));
    let deeper = |name: &str| match name.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')) {
        Some((number, inner)) => format!("blocks.{number}.block.{inner}"),
        None => name.into(),
    };
    let official = || plain().into_iter().map(|tensor| Named { name: deeper(&tensor.name), ..tensor }).collect::<Vec<_>>();
    assert_eq!(here.len(), 1303);
    let files = [
        ("official", official()),
        ("diffusers", tensors("modular_animate_2", "BF16")),
        ("ComfyUI", prefixed("model.diffusion_model.", plain())),
        ("ComfyUI, int8 by rows", scaled(plain(), Scaled::Rows)),
        ("official, int8 by rows", scaled(official(), Scaled::Rows)),
    ];
    for (layout, tensors) in files {
        write_safetensors(&file, &tensors);
        check(&file, &format!("Wan2.2-Animate-2-14B, {layout}"), &here, &[]);
    }
    let path = folder.path().join("model.gguf");
    write_gguf(&path, &official(), q4_k);
    check(&path, "Wan2.2-Animate-2-14B, GGUF", &here, &[]);
}

#[test]
fn text_encoders_in_every_layout() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let (official, both) = (tensors("official_umt5", "BF16"), tensors("transformers_umt5", "BF16"));
    let without = |name: &str| both.iter().filter(|tensor| tensor.name != name).cloned().collect::<Vec<_>>();
    let once = without("encoder.embed_tokens.weight");

    write_torch(&path("umt5.pth"), &official, false);
    check(&path("umt5.pth"), "UMT5-XXL, models_t5_umt5-xxl-enc-bf16.pth", &once, &[]);
    write_safetensors(&path("umt5"), &official);
    check(&path("umt5"), "UMT5-XXL, Kijai's umt5-xxl-enc-bf16.safetensors", &once, &[]);
    write_safetensors(&path("umt5"), &both);
    check(&path("umt5"), "UMT5-XXL, transformers", &both, &[]);
    let vocabulary = || named("spiece_model", "U8", &[4_548_313]);
    write_safetensors(&path("umt5"), &[once.clone(), vec![vocabulary()]].concat());
    check(&path("umt5"), "UMT5-XXL, ComfyUI in f16", &once, &["spiece_model"]);
    write_safetensors(&path("umt5"), &[scaled(once.clone(), Scaled::Legacy), vec![vocabulary()]].concat());
    check(&path("umt5"), "UMT5-XXL, ComfyUI in scaled fp8", &once, &["spiece_model"]);

    write_gguf(&path("umt5.gguf"), &umt5_gguf(), q4_k);
    check(&path("umt5.gguf"), "UMT5-XXL, GGUF", &once, &[]);
}

/// The text encoder by the names of llama.cpp's converter.
fn umt5_gguf() -> Vec<Named> {
    let weight = |name: String, shape: &[usize]| named(format!("{name}.weight"), "F16", shape);
    let mut tensors = vec![weight("token_embd".into(), &[256_384, 4096]), weight("enc.output_norm".into(), &[4096])];
    for i in 0..24 {
        let block = |name: &str, shape: &[usize]| weight(format!("enc.blk.{i}.{name}"), shape);
        tensors.extend(["attn_q", "attn_k", "attn_v", "attn_o"].map(|name| block(name, &[4096, 4096])));
        tensors.extend([block("attn_rel_b", &[32, 64]), block("attn_norm", &[4096]), block("ffn_norm", &[4096])]);
        tensors.extend([block("ffn_gate", &[10_240, 4096]), block("ffn_up", &[10_240, 4096]), block("ffn_down", &[4096, 10_240])]);
    }
    tensors
}

#[test]
fn image_encoders_in_every_layout() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let here = tensors("transformers_clip", "F16");
    write_torch(&path("clip.pth"), &tensors("official_clip", "F16"), false);
    check(&path("clip.pth"), "CLIP, models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth", &here, &[]);
    write_safetensors(&path("clip"), &here);
    check(&path("clip"), "CLIP, transformers 5", &here, &[]);
    let older = prefixed("vision_model.", here.clone());
    write_safetensors(&path("clip"), &older);
    check(&path("clip"), "CLIP, transformers 4", &older, &[]);
    write_safetensors(&path("clip"), &[older.clone(), vec![named("visual_projection.weight", "F16", &[1024, 1280])]].concat());
    check(&path("clip"), "CLIP, clip_vision_h.safetensors", &older, &["visual_projection.weight"]);
}

#[test]
fn autoencoders_in_every_layout() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    for (model, official, diffusers) in
        [("VAE 2.1", "official_vae_2_1", "diffusers_vae_2_1"), ("VAE 2.2", "official_vae_2_2", "diffusers_vae_2_2")]
    {
        let (there, here) = (tensors(official, "F32"), tensors(diffusers, "F32"));
        write_torch(&path("vae.pth"), &there, false);
        check(&path("vae.pth"), &format!("{model}, official"), &here, &[]);
        write_safetensors(&path("vae"), &there);
        check(&path("vae"), &format!("{model}, ComfyUI"), &here, &[]);
        write_safetensors(&path("vae"), &here);
        check(&path("vae"), &format!("{model}, diffusers"), &here, &[]);
    }
}

/// By the names of transformers, the original ones, and those of 2.0, which has two tensors less; in safetensors and as torch saves them.
#[test]
fn sam_2_of_every_size_in_every_layout() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    for size in ["tiny", "small", "base_plus", "large"] {
        let there = tensors(&format!("transformers_sam2_{size}"), "F32");
        let original: Vec<_> = there.iter().flat_map(sam2_original).collect();
        write_safetensors(&path("sam2"), &there);
        check(&path("sam2"), &format!("SAM 2.1 {size}, transformers"), &original, &[]);
        write_safetensors(&path("sam2"), &original);
        check(&path("sam2"), &format!("SAM 2.1 {size}, ComfyUI"), &original, &[]);
        let of_2_1 = ["no_obj_embed_spatial", "obj_ptr_tpos_proj."];
        let older: Vec<_> = original.into_iter().filter(|tensor| !of_2_1.iter().any(|name| tensor.name.starts_with(name))).collect();
        write_torch_in(&path("sam2.pt"), &older, Some("model"));
        check(&path("sam2.pt"), &format!("SAM 2 {size}, official"), &older, &[]);
    }
}

/// A tensor of SAM 2 by its original name; some are several there.
fn sam2_original(tensor: &Named) -> Vec<Named> {
    let names = models::sam2::names::TRANSFORMERS.to_diffusers(&tensor.name).expect("a name that is known");
    let mut shape = tensor.shape.clone();
    shape[0] /= names.len().max(1);
    names.into_iter().map(|name| named(name, tensor.dtype, &shape)).collect()
}

/// The modules of a transformer's blocks that LoRAs are made for, with their outputs and inputs.
fn linears(official: &str, blocks: fn(&str) -> bool) -> Vec<(String, usize, usize)> {
    let linear = |tensor: Named| match tensor.shape[..] {
        [rows, cols] => Some((tensor.name.strip_suffix(".weight")?.to_owned(), rows, cols)),
        _ => None,
    };
    tensors(official, "BF16").into_iter().filter(|tensor| blocks(&tensor.name)).filter_map(linear).collect()
}

/// Rank 4 where the published files have up to 128: their factors are read when they are merged.
const RANK: usize = 4;

fn factors(prefix: &str, modules: &[(String, usize, usize)], [down, up]: [&str; 2], alpha: bool) -> Vec<Named> {
    let mut tensors = Vec::new();
    for (module, rows, cols) in modules {
        tensors.push(named(format!("{prefix}{module}.{down}"), "F16", &[RANK, *cols]));
        tensors.push(named(format!("{prefix}{module}.{up}"), "F16", &[*rows, RANK]));
        if alpha {
            tensors.push(named(format!("{prefix}{module}.alpha"), "F32", &[]));
        }
    }
    tensors
}

const PEFT: [&str; 2] = ["lora_A.weight", "lora_B.weight"];
const KOHYA: [&str; 2] = ["lora_down.weight", "lora_up.weight"];

fn merge(lora: &Path, what: &str, base: &Path, expected: usize) {
    let lora = Lora::open(lora).unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut weights = models::open(base).expect("opens");
    weights.add_lora(&lora).unwrap_or_else(|error| panic!("{what}: {error}"));
    println!("{what}: {expected} modules, all matched");
}

/// Every linear layer of the blocks but the face adapter's: 960 tensors, 718,274,560 numbers at rank 128, which in f16 are the 1,436,655,192
/// bytes of the published repack but for its header.
#[test]
fn relighting_loras() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    write_safetensors(&path("base"), &tensors("official_animate", "BF16"));
    let modules = linears("official_animate", |name| name.starts_with("blocks."));
    assert_eq!(2 * modules.len(), 960);
    assert_eq!(modules.iter().map(|(_, rows, cols)| 128 * (rows + cols)).sum::<usize>(), 718_274_560);
    for prefix in ["", "base_model.model.", "diffusion_model."] {
        let tensors = factors(prefix, &modules, PEFT, false);
        write_torch(&path("relighting_lora.ckpt"), &tensors, true);
        merge(&path("relighting_lora.ckpt"), &format!("relighting_lora.ckpt, prefix `{prefix}`"), &path("base"), modules.len());
        write_safetensors(&path("relight"), &tensors);
        merge(&path("relight"), &format!("relighting LoRA, repack, prefix `{prefix}`"), &path("base"), modules.len());
    }
}

/// Distillation LoRAs change everything: linear layers by products, norms, biases and modulations whole.
#[test]
fn distillation_loras() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    for (model, official) in [("Animate", "official_animate"), ("I2V 2.1", "official_i2v_2_1"), ("T2V", "official_t2v_14b")] {
        write_safetensors(&path("base"), &tensors(official, "BF16"));
        let published = if model == "Animate" { "official_i2v_2_1" } else { official };
        let all = linears(published, |_| true);
        let mut file = factors("diffusion_model.", &all, KOHYA, false);
        for tensor in tensors(published, "F16").into_iter().filter(|tensor| tensor.shape.len() != 2) {
            let name = &tensor.name;
            let (ending, module) = match name.rsplit_once('.').expect("a dot") {
                (module, "bias") => ("diff_b", module),
                (module, "weight") => ("diff", module),
                (module, "modulation") if module.starts_with("blocks") => ("diff_m", module),
                _ => continue,
            };
            file.push(named(format!("diffusion_model.{module}.{ending}"), "F16", &tensor.shape));
        }
        write_safetensors(&path("lightx2v"), &file);
        merge(&path("lightx2v"), &format!("lightx2v on {model}"), &path("base"), file.len());
        let blocks = linears(published, |name| name.starts_with("blocks."));
        write_safetensors(&path("lightning"), &factors("", &blocks, PEFT, false));
        merge(&path("lightning"), &format!("Lightning on {model}"), &path("base"), blocks.len());
        write_safetensors(&path("lightning"), &factors("diffusion_model.", &blocks, KOHYA, true));
        merge(&path("lightning"), &format!("Lightning with alpha on {model}"), &path("base"), blocks.len());
    }
}

/// Tried on a model of another width, a LoRA says what it is for.
#[test]
fn loras_for_other_widths() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    for (made_for, base, words) in [
        ("official_t2v_14b", "official_t2v_1_3b", "(for the 14B models, 5120 wide)"),
        ("official_t2v_1_3b", "official_animate", "(for Wan 2.1's 1.3B models, 1536 wide)"),
        ("official_ti2v", "official_t2v_14b", "(for Wan 2.2's 5B model, 3072 wide)"),
    ] {
        write_safetensors(&path("base"), &tensors(base, "BF16"));
        let modules = linears(made_for, |name| name.starts_with("blocks.0.") || name.starts_with("blocks.1."));
        write_safetensors(&path("lora"), &factors("diffusion_model.", &modules, KOHYA, true));
        let lora = Lora::open(path("lora")).expect("opens");
        let error = models::open(path("base")).expect("opens").add_lora(&lora).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
}
