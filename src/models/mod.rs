//! The networks, each mirroring its checkpoint: `load` and `forward` go field for field in checkpoint order.

pub mod clip;
pub mod dit;
pub mod umt5;
pub mod vae;

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Result;
use crate::weights::Weights;
use crate::weights::config::read_json;

/// A model's configuration, which may lie beside its weights or be told from them.
pub trait Sizes: DeserializeOwned + Serialize {
    /// Whether a `config.json` is one of such a model, in the form of diffusers or transformers.
    fn is_described(json: &Value) -> bool;

    /// Reads that file.
    fn read(file: &Path) -> Result<Self> {
        read_json(file)
    }

    /// The sizes of the model in `weights`, where no such file lies beside it.
    fn detect(weights: &Weights) -> Result<Self>;

    /// The `config.json` that diffusers or transformers want of such a model.
    fn to_json(&self) -> Value;
}

/// The fields of a configuration, and what else its `config.json` says.
fn config_json(config: &impl Serialize, facts: Value) -> Value {
    // By way of text, in which an f32 is as short as it was written.
    let text = serde_json::to_string(config).expect("configurations are plain numbers, texts and lists");
    let mut json: Value = serde_json::from_str(&text).expect("it was just written");
    if let (Value::Object(fields), Value::Object(facts)) = (&mut json, facts) {
        fields.extend(facts);
    }
    json
}
