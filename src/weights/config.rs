//! The JSON files of a checkpoint: a component's configuration, and `model_index.json`, which lists the components.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Weights;
use crate::{Error, Result};

/// Larger than any configuration, index or tokenizer in use.
const MAX_BYTES: u64 = 256 << 20;

/// Reads a JSON file into the fields of `T`.
///
/// # Errors
/// [`Error::Io`] where the file cannot be read; [`Error::Weights`] where it is no JSON, lacks a field or has one of another type, with line
/// and column.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = read_json_text(path)?;
    serde_json::from_str(&text).map_err(|error| Error::weights(path, error.to_string()))
}

/// The `config.json` in the folder of an opened checkpoint, or `None` where there is none.
///
/// # Errors
/// As [`read_json`].
pub fn config_beside(weights: &Weights) -> Result<Option<Value>> {
    let path = weights.path().with_file_name("config.json");
    if path.exists() { read_json(&path).map(Some) } else { Ok(None) }
}

/// The text of a JSON file, with null for the `NaN`, `Infinity` and `-Infinity` that Python writes and JSON does not have.
pub(crate) fn read_json_text(path: &Path) -> Result<String> {
    let text = String::from_utf8(read(path)?).map_err(|_| Error::weights(path, "not text in UTF-8"))?;
    // Some editors put a byte order mark first.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut parts: Vec<Cow<str>> = text.split('"').map(Cow::from).collect();
    // Every other part is inside a string, unless quotes within strings are escaped; then nothing is replaced.
    if !text.contains("\\\"") {
        for part in parts.iter_mut().step_by(2).filter(|part| part.contains("Infinity") || part.contains("NaN")) {
            *part = part.replace("-Infinity", "null").replace("Infinity", "null").replace("NaN", "null").into();
        }
    }
    Ok(parts.join("\""))
}

/// A whole file of moderate size.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Error::io(path))?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(Error::io(path))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::weights(path, format!("over {} MiB: not what it should be", MAX_BYTES >> 20)));
    }
    Ok(bytes)
}

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
    /// Reads `model_index.json` in a checkpoint's folder.
    ///
    /// # Errors
    /// As [`read_json`].
    pub fn open(folder: &Path) -> Result<Self> {
        read_json(&folder.join("model_index.json"))
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
