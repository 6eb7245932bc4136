//! The fields of a checkpoint's `scheduler_config.json`.

use std::path::Path;

use serde_json::{Map, Value};

use super::sigmas::{FinalSigma, Levels, Rule};
use super::{config::NUM_TRAIN_TIMESTEPS, spacing::Spacing};
use crate::error::{Error, Result};

/// The fields of a configuration file, each with its default.
pub(super) struct Fields<'a> {
    file: &'a Path,
    map: Map<String, Value>,
}

impl<'a> Fields<'a> {
    pub(super) fn parse(file: &'a Path, json: &str) -> Result<Self> {
        let map = serde_json::from_str(json).map_err(|error| Error::weights(file, format!("not a JSON object: {error}")))?;
        Ok(Self { file, map })
    }

    pub(super) fn levels(&self, rule: Rule, shift: &str, final_sigma: FinalSigma) -> Result<Levels> {
        Ok(Levels {
            rule,
            spacing: Spacing::Uniform,
            shift: self.number(shift, 1.0)?,
            shift_terminal: None,
            final_sigma,
            num_train_timesteps: self.num_train_timesteps()?,
        })
    }

    pub(super) fn num_train_timesteps(&self) -> Result<f64> {
        let count = self.number("num_train_timesteps", NUM_TRAIN_TIMESTEPS)?;
        let known = count.fract() == 0.0 && (2.0..=1e6).contains(&count);
        if known { Ok(count) } else { Err(self.unsupported("num_train_timesteps", &count.to_string())) }
    }

    /// 0 and null both mean none.
    pub(super) fn shift_terminal(&self) -> Result<Option<f64>> {
        Ok(self.optional_number("shift_terminal")?.filter(|&terminal| terminal != 0.0))
    }

    pub(super) fn optional_number(&self, name: &str) -> Result<Option<f64>> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.number(name, 0.0).map(Some),
        }
    }

    pub(super) fn order(&self, most: usize) -> Result<usize> {
        let order = self.number("solver_order", 2.0)?;
        let known = (1..=most).find(|&known| known as f64 == order);
        known.ok_or_else(|| self.unsupported("solver_order", &order.to_string()))
    }

    pub(super) fn number(&self, name: &str, default: f64) -> Result<f64> {
        self.get(name, default, "a number", Value::as_f64)
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool> {
        self.get(name, default, "true or false", Value::as_bool)
    }

    pub(super) fn text<'b>(&'b self, name: &str, default: &'b str) -> Result<&'b str> {
        self.get(name, default, "a text", Value::as_str)
    }

    pub(super) fn indices(&self, name: &str) -> Result<Vec<usize>> {
        let read = |value: &Value| value.as_array()?.iter().map(|index| index.as_u64()?.try_into().ok()).collect();
        self.get(name, Vec::new(), "a list of step numbers", read)
    }

    fn get<'b, T>(&'b self, name: &str, default: T, kind: &str, read: impl Fn(&'b Value) -> Option<T>) -> Result<T> {
        let Some(value) = self.map.get(name) else { return Ok(default) };
        read(value).ok_or_else(|| Error::weights(self.file, format!("`{name}` is {value}, should be {kind}")))
    }

    pub(super) fn require_flag(&self, name: &str, default: bool, required: bool) -> Result<()> {
        let value = self.flag(name, default)?;
        if value == required { Ok(()) } else { Err(self.unsupported(name, &value.to_string())) }
    }

    pub(super) fn require_null(&self, name: &str) -> Result<()> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(()),
            Some(value) => Err(self.unsupported(name, &value.to_string())),
        }
    }

    pub(super) fn unsupported(&self, name: &str, value: &str) -> Error {
        Error::Unsupported(format!("{}: scheduler setting `{name}`: {value}", self.file.display()))
    }
}
