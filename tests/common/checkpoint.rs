//! Checkpoint folders of the published models' full size.

#![allow(dead_code)] // each test file uses its own part of this

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{golden_json, golden_path};
use crate::published::{Data, Named, tensors, write_gguf, write_safetensors};

/// Layers of the encoders, as published or fewer.
#[derive(Clone, Copy)]
struct Encoders {
    text: usize,
    /// None without CLIP.
    clip: Option<usize>,
}

impl Encoders {
    const PUBLISHED: Self = Self { text: 24, clip: Some(32) };
    /// As many as there must be, where the transformer alone matters.
    const SHALLOW: Self = Self { text: 1, clip: Some(2) };

    fn without_clip(self) -> Self {
        Self { clip: None, ..self }
    }
}

/// Tensors but those of layers past a number: `prefix` stands before it in their names.
fn shallow(golden: &str, dtype: &'static str, prefix: &str, layers: usize) -> Vec<Named> {
    let is_deeper =
        |name: &str| name.strip_prefix(prefix).and_then(|rest| rest.split('.').next()?.parse().ok()).is_some_and(|i: usize| i >= layers);
    let mut all = tensors(golden, dtype);
    all.retain(|tensor| !is_deeper(&tensor.name));
    all
}

fn component(folder: &Path, name: &str, config: &Value, all: &[Named], file: &str, data: Data) {
    let folder = folder.join(name);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("config.json"), config.to_string()).expect("a configuration");
    let places = match file.ends_with(".gguf") {
        true => write_gguf(&folder.join(file), all, Named::ggml),
        false => write_safetensors(&folder.join(file), all),
    };
    data.write(&folder.join(file), all, &places);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for file in fs::read_dir(from).expect("a folder").flatten() {
        fs::copy(file.path(), to.join(file.file_name())).expect("copies");
    }
}

/// How a transformer is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    Bf16,
    /// Matrices in ggml's q4_0, all else in f32.
    Q4,
}

impl Stored {
    fn tensors(self, golden: &str) -> Vec<Named> {
        let is_matrix = |tensor: &Named| tensor.shape.len() == 2 && tensor.shape[1].is_multiple_of(32);
        let quantised = |tensor: Named| Named { dtype: if is_matrix(&tensor) { "Q4_0" } else { "F32" }, ..tensor };
        match self {
            Self::Bf16 => tensors(golden, "BF16"),
            Self::Q4 => tensors(golden, "F32").into_iter().map(quantised).collect(),
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Bf16 => "diffusion_pytorch_model.safetensors",
            Self::Q4 => "diffusion_pytorch_model.gguf",
        }
    }
}

/// What a folder is made of. `base` is a small one of its kind.
struct Recipe<'a> {
    base: &'a str,
    /// Folder, published tensors, configuration.
    transformers: &'a [(&'a str, &'a str, Value)],
    vae: (&'a str, Value),
    encoders: Encoders,
    /// Of the transformers.
    stored: Stored,
    data: Data,
}

impl Recipe<'_> {
    fn write(&self) -> TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let (root, base) = (folder.path(), golden_path(self.base));
        let others = if self.data == Data::None { Data::None } else { Data::Sparse };
        for (name, golden, config) in self.transformers {
            component(root, name, config, &self.stored.tensors(golden), self.stored.file(), self.data);
        }
        component(root, "vae", &self.vae.1, &tensors(self.vae.0, "F32"), Stored::Bf16.file(), others);
        let Encoders { text, clip } = self.encoders;
        let sizes = json!({ "d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": text, "num_heads": 64, "vocab_size": 256_384 });
        let all = shallow("transformers_umt5", "BF16", "encoder.block.", text);
        component(root, "text_encoder", &sizes, &all, "model.safetensors", others);
        let processor = base.join("image_processor/preprocessor_config.json");
        if let Some(layers) = clip {
            let sizes = json!({ "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": layers, "num_attention_heads": 16,
                "image_size": 224, "patch_size": 14, "hidden_act": "gelu" });
            let all = shallow("transformers_clip", "F32", "encoder.layers.", layers);
            component(root, "image_encoder", &sizes, &all, "model.safetensors", others);
        }
        // A modular pipeline has none.
        if clip.is_some() && processor.exists() {
            let processor = fs::read_to_string(processor).expect("a golden");
            fs::create_dir(root.join("image_processor")).expect("a folder");
            fs::write(root.join("image_processor/preprocessor_config.json"), processor.replace("28", "224")).expect("written");
        }
        copy(&base.join("tokenizer"), &root.join("tokenizer"));
        copy(&base.join("scheduler"), &root.join("scheduler"));
        let index = ["model_index.json", "modular_model_index.json"].into_iter().find(|name| base.join(name).exists()).expect("an index");
        fs::copy(base.join(index), root.join(index)).expect("copies");
        folder
    }
}

fn wide(inputs: usize) -> Value {
    json!({ "num_attention_heads": 40, "attention_head_dim": 128, "ffn_dim": 13824, "num_layers": 40, "in_channels": inputs,
        "out_channels": 16, "image_dim": null, "added_kv_proj_dim": null })
}

/// Wan2.2-Animate-14B.
pub fn animate() -> TempDir {
    animate_with(Encoders::PUBLISHED, Stored::Bf16, Data::None)
}

/// The same with numbers in some of its weights, and encoders of few layers.
pub fn animate_with_numbers(stored: Stored) -> TempDir {
    animate_with(Encoders::SHALLOW, stored, Data::Sparse)
}

fn animate_with(encoders: Encoders, stored: Stored, data: Data) -> TempDir {
    let mut config = wide(36);
    config["latent_channels"] = json!(16);
    config["image_dim"] = json!(1280);
    config["added_kv_proj_dim"] = json!(5120);
    let transformers = &[("transformer", "diffusers_animate", config)];
    let vae = ("diffusers_vae_2_1", json!({}));
    Recipe { base: "tiny", transformers, vae, encoders, stored, data }.write()
}

/// Wan2.2-Animate-2-14B, whose transformer's configuration has names of its own.
pub fn animate_2(stored: Stored) -> TempDir {
    let mut config: Value = golden_json("animate2/base/transformer/config.json");
    for (name, value) in [("dim", 5120), ("ffn_dim", 13_824), ("freq_dim", 256), ("num_heads", 40), ("num_layers", 40), ("text_dim", 4096)]
    {
        config[name] = json!(value);
    }
    let transformers = &[("transformer", "modular_animate_2", config)];
    let vae = ("diffusers_vae_2_1", json!({}));
    Recipe { base: "animate2/base", transformers, vae, encoders: Encoders::PUBLISHED, stored, data: Data::None }.write()
}

/// Wan2.2-T2V-A14B.
pub fn t2v() -> TempDir {
    let transformers = &[("transformer", "diffusers_t2v_14b", wide(16)), ("transformer_2", "diffusers_t2v_14b", wide(16))];
    let vae = ("diffusers_vae_2_1", json!({}));
    Recipe { base: "family/t2v", transformers, vae, encoders: Encoders::PUBLISHED.without_clip(), stored: Stored::Bf16, data: Data::None }
        .write()
}

/// Wan2.1-T2V-1.3B with numbers in its weights, and a text encoder of one layer.
pub fn t2v_1_3b_with_numbers() -> TempDir {
    let config = json!({ "num_attention_heads": 12, "attention_head_dim": 128, "ffn_dim": 8960, "num_layers": 30, "in_channels": 16,
        "out_channels": 16, "image_dim": null, "added_kv_proj_dim": null });
    let transformers = &[("transformer", "diffusers_t2v_1_3b", config)];
    let vae = ("diffusers_vae_2_1", json!({}));
    let folder = Recipe {
        base: "family/t2v",
        transformers,
        vae,
        encoders: Encoders::SHALLOW.without_clip(),
        stored: Stored::Bf16,
        data: Data::Dense,
    }
    .write();
    let path = folder.path().join("model_index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&path).expect("an index")).expect("JSON");
    let entries = index.as_object_mut().expect("an index");
    ["transformer_2", "boundary_ratio"].into_iter().for_each(|name| drop(entries.remove(name)));
    fs::write(path, index.to_string()).expect("written");
    folder
}

/// Wan2.2-TI2V-5B.
pub fn ti2v() -> TempDir {
    let config = json!({ "num_attention_heads": 24, "attention_head_dim": 128, "ffn_dim": 14336, "num_layers": 30, "in_channels": 48,
        "out_channels": 48, "image_dim": null, "added_kv_proj_dim": null });
    let mut vae: Value = golden_json("family/ti2v/vae/config.json");
    vae["base_dim"] = json!(160);
    vae["decoder_base_dim"] = json!(256);
    vae["dim_mult"] = json!([1, 2, 4, 4]);
    vae["num_res_blocks"] = json!(2);
    let (transformers, vae) = (&[("transformer", "diffusers_ti2v", config)], ("diffusers_vae_2_2", vae));
    Recipe { base: "family/ti2v", transformers, vae, encoders: Encoders::PUBLISHED.without_clip(), stored: Stored::Bf16, data: Data::None }
        .write()
}
