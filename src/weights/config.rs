//! The JSON files of a checkpoint: a component's configuration, and `model_index.json`, which lists the components.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::error::Result;
use crate::json::read_json;
use crate::location::Location;

/// The `config.json` in the folder of a file, or `None` where there is none.
///
/// # Errors
/// As [`read_json`].
pub fn config_beside(file: &Location) -> Result<Option<Value>> {
    let config = file.beside("config.json");
    if config.exists() { read_json(&config).map(Some) } else { Ok(None) }
}

/// What an index may be called.
const INDICES: [&str; 2] = ["model_index.json", "modular_model_index.json"];

/// The `model_index.json` of a diffusers checkpoint.
#[derive(Clone, Debug, Deserialize)]
pub struct ModelIndex {
    /// The pipeline's class, such as `WanAnimatePipeline`.
    #[serde(rename = "_class_name")]
    pub class_name: String,
    /// Everything else: components as `[library, class]`, and settings.
    #[serde(flatten)]
    entries: BTreeMap<String, Value>,
}

impl ModelIndex {
    /// Reads `model_index.json` in a checkpoint's folder, or that of a modular pipeline.
    ///
    /// # Errors
    /// As [`read_json`].
    pub fn open(folder: &Location) -> Result<Self> {
        read_json(&folder.join(Self::name_in(folder).unwrap_or(INDICES[0])))
    }

    /// What it is called in a folder, where there is one.
    pub fn name_in(folder: &Location) -> Option<&'static str> {
        INDICES.into_iter().find(|name| folder.join(name).exists())
    }

    /// A text among the settings, such as `_blocks_class_name`.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.entries.get(name)?.as_str()
    }

    /// The names of all components that the checkpoint has.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str).filter(|name| self.component(name).is_some())
    }

    /// The class of a component such as `transformer`, or `None` where the checkpoint has none of that name.
    pub fn component(&self, name: &str) -> Option<&str> {
        self.entries.get(name)?.as_array()?.get(1)?.as_str()
    }

    /// A number among the settings, such as `boundary_ratio`, or `None` where it is null or not given.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.entries.get(name)?.as_f64()
    }

    /// A switch among the settings, such as `expand_timesteps`, or `None` where it is null or not given.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.entries.get(name)?.as_bool()
    }
}
