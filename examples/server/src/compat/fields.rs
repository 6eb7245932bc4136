//! Fields of a foreign request, taken out one by one; those that are left are told of.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Failure, Result};

pub struct Fields {
    values: Map<String, Value>,
    /// In front of names in messages.
    within: String,
}

impl Fields {
    pub fn new(value: Value) -> Result<Self> {
        Self::within(value, "")
    }

    fn within(value: Value, within: &str) -> Result<Self> {
        match value {
            Value::Object(values) => Ok(Self { values, within: within.into() }),
            _ => Err(Failure::field(within.trim_end_matches('.'), "an object is needed")),
        }
    }

    /// None where it is missing, null or empty.
    pub fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>> {
        let value = match self.values.remove(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) if text.is_empty() => return Ok(None),
            Some(value) => value,
        };
        let name = format!("{}{name}", self.within);
        serde_json::from_value(value).map(Some).map_err(|error| Failure::field(&name, format!("`{name}`: {error}")))
    }

    pub fn or<T: DeserializeOwned>(&mut self, name: &str, default: T) -> Result<T> {
        Ok(self.take(name)?.unwrap_or(default))
    }

    pub fn need<T: DeserializeOwned>(&mut self, name: &str) -> Result<T> {
        let value = self.take(name)?;
        value.ok_or_else(|| Failure::field(format!("{}{name}", self.within), format!("`{}{name}` is missing", self.within)))
    }

    /// A file: its text, or the address within an object such as `{"image_url": …}`.
    pub fn file(&mut self, name: &str) -> Result<Option<String>> {
        let value: Option<Value> = self.take(name)?;
        let value = match value {
            // Forms have objects as texts.
            Some(Value::String(text)) if text.starts_with('{') => serde_json::from_str(&text).unwrap_or(Value::String(text)),
            Some(value) => value,
            None => return Ok(None),
        };
        let text = match &value {
            Value::String(text) => Some(text.clone()),
            Value::Object(object) => {
                ["image_url", "video_url", "url"].iter().find_map(|key| object.get(*key)?.as_str().map(str::to_string))
            }
            _ => None,
        };
        let name = format!("{}{name}", self.within);
        text.map(Some).ok_or_else(|| Failure::field(&name, format!("`{name}` is no file")))
    }

    /// An object of fields; an empty one where it is missing.
    pub fn object(&mut self, name: &str) -> Result<Self> {
        let value: Option<Value> = self.take(name)?;
        Self::within(value.unwrap_or_else(|| Map::new().into()), &format!("{}{name}.", self.within))
    }

    /// Refuses a wish that is not granted; one that is not made is no matter.
    pub fn refuse(&mut self, name: &str, why: &str) -> Result<()> {
        match self.values.remove(name) {
            None | Some(Value::Null | Value::Bool(false)) => Ok(()),
            Some(Value::String(text)) if text.is_empty() => Ok(()),
            Some(_) => Err(Failure::unsupported(format!("{}{name}", self.within), format!("`{}{name}`: {why}", self.within))),
        }
    }

    /// Names of what nobody took.
    pub fn left(&self) -> Vec<String> {
        self.values.keys().map(|name| format!("ignored: {}{name}", self.within)).collect()
    }
}

/// What a submission's seed, -1 for a random one, means.
pub fn seed(field: &str, seed: Option<i64>) -> Result<Option<u64>> {
    match seed {
        None | Some(-1) => Ok(None),
        Some(seed) => {
            u64::try_from(seed).map(Some).map_err(|_| Failure::field(field, format!("`{field}` is {seed}; it is -1 or from 0 on")))
        }
    }
}
