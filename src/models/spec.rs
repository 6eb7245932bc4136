//! What there is to know of a model beside how it computes.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Result;
use crate::json::read_json;
use crate::layers::Loader;
use crate::location::Location;
use crate::weights::{checkpoint::Weights, config::config_beside, kin::Kin, names::Table};

/// A kind of model. Each has one, in its folder, and a line in the [registry](super::registry).
pub struct Spec {
    /// What it is, such as "a UMT5 text encoder".
    pub name: &'static str,
    /// Tensors that it alone has, in diffusers' or transformers' names.
    pub signs: &'static [&'static str],
    /// What its tensors are called in other layouts.
    pub tables: &'static [&'static Table],
    /// What LoRAs for it may be made for, where there are some.
    pub kin: Option<&'static Kin>,
    /// What names of tensors begin with that files have and the model has no use for.
    pub unneeded: &'static [&'static str],
    /// Tensors that belong to another part, such as a vocabulary.
    pub besides: &'static [&'static str],
    /// What diffusers and transformers call a file of its weights, without the ending.
    pub stem: &'static str,
    /// What GGUF files call it.
    pub architecture: &'static str,
    /// Its `config.json`: the one beside its weights, or what they tell.
    pub config: fn(&Weights) -> Result<Value>,
    /// Loads it with the sizes of that.
    pub load: fn(&Loader, &Weights) -> Result<()>,
}

impl Spec {
    /// Whether a checkpoint has one of its signs.
    pub fn is_in(&self, weights: &Weights) -> bool {
        self.signs.iter().any(|sign| weights.contains(sign))
    }
}

impl PartialEq for Spec {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A model's configuration, which may lie beside its weights or be told from them.
pub trait Sizes: DeserializeOwned + Serialize {
    /// Whether a `config.json` is one of such a model, in the form of diffusers or transformers.
    fn is_described(json: &Value) -> bool;

    fn read(file: &Location) -> Result<Self> {
        read_json(file)
    }

    /// The sizes of the model in `weights`, where no such file lies beside it.
    fn detect(weights: &Weights) -> Result<Self>;

    /// The `config.json` that diffusers or transformers want of such a model.
    fn to_json(&self) -> Value;

    /// The configuration beside an opened part, or what its tensors tell.
    fn of(weights: &Weights) -> Result<Self> {
        match config_beside(weights.location())?.filter(Self::is_described) {
            Some(_) => Self::read(&weights.location().beside("config.json")),
            None => Self::detect(weights),
        }
    }

    /// The same as JSON, as it is where it lies beside the part.
    fn json(weights: &Weights) -> Result<Value> {
        match config_beside(weights.location())?.filter(Self::is_described) {
            Some(json) => Ok(json),
            None => Ok(Self::detect(weights)?.to_json()),
        }
    }
}

/// The fields of a configuration, and what else its `config.json` says.
pub(super) fn config_json(config: &impl Serialize, facts: Value) -> Value {
    // By way of text, in which an f32 is as short as it was written.
    let text = serde_json::to_string(config).expect("configurations are plain numbers, texts and lists");
    let mut json: Value = serde_json::from_str(&text).expect("it was just written");
    if let (Value::Object(fields), Value::Object(facts)) = (&mut json, facts) {
        fields.extend(facts);
    }
    json
}
