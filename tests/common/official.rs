//! Checkpoints in the layout of the official releases, made where they are needed: their weights follow from a formula.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use half::bf16;
use serde::Deserialize;
use tempfile::TempDir;

use super::common::{golden_json, golden_path};
use crate::published::{Named, fill, write_safetensors, write_torch};

/// What a file of the release holds.
#[derive(Deserialize)]
struct Contents {
    dtype: String,
    tensors: Vec<Formula>,
}

/// A tensor's name and shape, and what `values` of the script makes it of: a key, a mean and a scale.
#[derive(Deserialize)]
struct Formula(String, Vec<usize>, u32, f32, f32);

impl Formula {
    fn bytes(&self, dtype: &str) -> Vec<u8> {
        let &Self(_, ref shape, key, mean, scale) = self;
        let values = (0..shape.iter().product::<usize>() as u32).map(|i| {
            let mut x = i.wrapping_mul(0x9e37_79b9).wrapping_add(key);
            x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b);
            x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
            x ^= x >> 16;
            ((x >> 8) as f32 / (1 << 23) as f32 - 1.0) * scale + mean
        });
        match dtype {
            "bf16" => values.flat_map(|value| bf16::from_f32(value).to_le_bytes()).collect(),
            _ => values.flat_map(f32::to_le_bytes).collect(),
        }
    }
}

/// The release of `tests/goldens/GOLDEN`, with those files and tensors that are wanted.
pub fn release(golden: &str, is_wanted: fn(&str, &str) -> bool) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    copy(&golden_path(golden).join("model"), folder.path());
    copy(&golden_path("tiny/tokenizer"), &folder.path().join("google/umt5-xxl"));
    let files: BTreeMap<String, Contents> = golden_json(&format!("{golden}/tensors.json"));
    for (name, Contents { dtype, mut tensors }) in files {
        tensors.retain(|tensor| is_wanted(&name, &tensor.0));
        if tensors.is_empty() {
            continue;
        }
        let path = folder.path().join(&name);
        let kind = if dtype == "bf16" { "BF16" } else { "F32" };
        let named = tensors.iter().map(|Formula(name, shape, ..)| Named { name: name.clone(), dtype: kind, shape: shape.clone() });
        let named: Vec<_> = named.collect();
        let places = match name.ends_with("safetensors") {
            true => write_safetensors(&path, &named),
            false => write_torch(&path, &named, name.ends_with("ckpt")),
        };
        for (place, tensor) in places.into_iter().zip(&tensors) {
            fill(&path, &[place], &[tensor.bytes(&dtype)]);
        }
    }
    folder
}

/// What is not made: configurations and the tokenizer.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a golden") {
        let entry = entry.expect("an entry");
        let (path, place) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            true => copy(&path, &place),
            false => fs::copy(&path, &place).map(drop).expect("copies"),
        }
    }
}
