//! Tiny SAM 2 models whose numbers are told by their tensors' names (see `tests/reference/sam2.py`).
#![allow(dead_code, reason = "each test uses its own part")]

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use wan_animate::unversioned::models;
use wan_animate::unversioned::models::sam2::names::TRANSFORMERS;
use wan_animate::unversioned::weights::Weights;

use crate::common::golden_json;
use crate::published::{Named, fill, write_torch_in};

/// Uniform numbers told by a name alone: splitmix64 from its FNV hash on.
pub fn numbers(name: &str, shape: &[usize], salt: u64) -> Vec<f32> {
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |seed, byte| (seed ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let last = name.rsplit('.').next().unwrap_or_default();
    let (scale, shift) = match last {
        "pos_embed" | "pos_embed_window" | "positional_embedding" | "frames" => (1.0, 0.0),
        _ if shape.len() < 2 => (0.3, if name.contains("layer_norm") && last == "weight" { 1.0 } else { 0.0 }),
        _ => (1.75 / (shape[1..].iter().product::<usize>() as f64).sqrt(), 0.0),
    };
    let unit = |i: usize| {
        let mut z = seed.wrapping_add(salt).wrapping_add((i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 40) as f64 / f64::from(1 << 23) - 1.0
    };
    (0..shape.iter().product()).map(|i| (unit(i) * scale + shift) as f32).collect()
}

/// Shapes and values by name.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Where the golden of a model is: one of the repository's by its name, another by its path, without the ending.
pub fn place(name: &str, ending: &str) -> String {
    Path::new("sam2").join(format!("{name}.{ending}")).display().to_string()
}

/// A tiny model: its tensors in the names of transformers, its configuration, and its salt.
pub fn tiny(version: &str) -> (Tensors, Value, u64) {
    let json: Value = golden_json(&place(version, "json"));
    let salt = json["salt"].as_u64().expect("a salt");
    let shapes: BTreeMap<String, Vec<usize>> = serde_json::from_value(json["tensors"].clone()).expect("shapes");
    let tensor = |(name, shape): (String, Vec<usize>)| {
        let source = name.replace("shared_image_embedding", "prompt_encoder.shared_embedding");
        let values = numbers(&source, &shape, salt);
        (name, (shape, values))
    };
    (shapes.into_iter().map(tensor).collect(), json["config"].clone(), salt)
}

/// In the original names.
pub fn original(tensors: &Tensors) -> Tensors {
    let mut renamed = Tensors::new();
    for (name, (shape, values)) in tensors {
        let names = TRANSFORMERS.to_diffusers(name).unwrap_or_else(|| panic!("{name} has no original name"));
        for (part, new) in names.iter().enumerate() {
            let (mut shape, length) = (shape.clone(), values.len() / names.len());
            shape[0] /= names.len();
            renamed.insert(new.clone(), (shape, values[part * length..][..length].to_vec()));
        }
    }
    renamed
}

/// As a folder with safetensors and a configuration.
pub fn save(folder: &Path, tensors: &Tensors, config: Option<&Value>) {
    let view = |(shape, values): &(Vec<usize>, Vec<f32>)| (shape.clone(), bytemuck::cast_slice::<f32, u8>(values).to_vec());
    let bytes: BTreeMap<_, _> = tensors.iter().map(|(name, tensor)| (name, view(tensor))).collect();
    let views = bytes.iter().map(|(name, (shape, bytes))| (*name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a tensor")));
    std::fs::create_dir_all(folder).expect("a folder");
    safetensors::serialize_to_file(views, None, &folder.join("model.safetensors")).expect("writes");
    describe(folder, config);
}

/// The same as torch saves it, within `model`.
pub fn save_torch(folder: &Path, name: &str, tensors: &Tensors, config: Option<&Value>) {
    std::fs::create_dir_all(folder).expect("a folder");
    let named = tensors.iter().map(|(name, (shape, _))| Named { name: name.clone(), dtype: "F32", shape: shape.clone() });
    let begins = write_torch_in(&folder.join(name), &named.collect::<Vec<_>>(), Some("model"));
    let bytes = tensors.values().map(|(_, values)| bytemuck::cast_slice(values).to_vec());
    fill(&folder.join(name), &begins, &bytes.collect::<Vec<_>>());
    describe(folder, config);
}

fn describe(folder: &Path, config: Option<&Value>) {
    if let Some(config) = config {
        std::fs::write(folder.join("config.json"), config.to_string()).expect("writes");
    }
}

/// A checkpoint in a folder of its own, opened.
pub fn opened(tensors: &Tensors, config: Option<&Value>) -> (tempfile::TempDir, Weights) {
    let folder = tempfile::tempdir().expect("a folder");
    save(folder.path(), tensors, config);
    let weights = models::open(folder.path()).expect("opens");
    (folder, weights)
}
