//! A part of a checkpoint, such as its transformer, as diffusers has it.

use std::path::Path;

use serde_json::Value;

use super::layout::write_json;
use crate::error::{Error, Result};
use crate::models::dit::spec::saved_names;
use crate::models::{coverage::Coverage, registry::model_of, registry::name_of, spec::Spec};
use crate::weights::{checkpoint::Weights, convert::Converted, convert::Watch, storage::Storage};

/// An opened part, and what its files are called and say.
pub(super) struct Part<'a> {
    pub(super) model: &'static Spec,
    pub(super) converted: Converted<'a>,
    /// The folder that it is saved in.
    name: &'a str,
    storage: Storage,
    config: Value,
}

impl<'a> Part<'a> {
    /// Makes sure that a checkpoint is a whole part of a known kind.
    pub(super) fn of(name: &'a str, weights: &'a Weights, storage: Storage) -> Result<Self> {
        let fail = |message: String| Err(Error::weights(weights.path(), message));
        let Some(model) = model_of(weights) else {
            return fail(format!("this is {}; a transformer, text encoder, image encoder or VAE is wanted", name_of(weights)));
        };
        let coverage = Coverage::of(model, weights);
        let Coverage { unknown, missing, misshapen, .. } = &coverage;
        if let Some((name, near)) = unknown.first() {
            let near = near.as_ref().map_or_else(String::new, |near| format!(" (near `{near}`)"));
            return fail(format!("{} tensors are unknown to {model}, the first is `{name}`{near}", unknown.len()));
        }
        if let Some(name) = missing.first() {
            return fail(format!("{model} without {} of its tensors, the first is `{name}`; download it again", missing.len()));
        }
        if let Some((name, there, needed)) = misshapen.first() {
            return Err(Error::tensor(weights.path(), name, format!("shape {there:?}, where {model} of its sizes has {needed:?}")));
        }
        let converted = Converted::new(weights, storage, saved_names(weights), |name| coverage.is_operand(name));
        match coverage.failure {
            Some(failure) => Err(failure),
            None => Ok(Self { model, converted, name, storage, config: (model.config)(weights)? }),
        }
    }

    /// Writes its files into its folder.
    pub(super) fn write(&self, folder: &Path, shard_size: u64, watch: Watch) -> Result<()> {
        let folder = folder.join(self.name);
        write_json(&folder.join("config.json"), &self.config)?;
        match self.storage {
            // What has no such blocks is no GGUF either.
            Storage::Q8_0 if self.converted.is_quantized() => {
                self.converted.write_gguf(&folder, self.model.stem, self.model.architecture, watch)
            }
            _ => self.converted.write_safetensors(&folder, self.model.stem, shard_size, watch),
        }
    }
}
