//! A part of a checkpoint, such as its transformer, as diffusers has it.

use std::path::Path;

use serde_json::Value;

use super::layout::write_json;

use crate::error::{Error, Result};
use crate::models::{Sizes, clip, dit, umt5, vae};
use crate::weights::config::config_beside;
use crate::weights::{Converted, Coverage, Kind, Storage, Watch, Weights};

/// An opened part, and what its files are called and say.
pub(super) struct Part<'a> {
    pub(super) kind: Kind,
    pub(super) converted: Converted<'a>,
    /// The folder that it is saved in.
    name: &'a str,
    stem: &'static str,
    /// What GGUF files call it.
    architecture: &'static str,
    storage: Storage,
    config: Value,
}

impl<'a> Part<'a> {
    /// Makes sure that a checkpoint is a whole part of a known kind.
    pub(super) fn of(name: &'a str, weights: &'a Weights, storage: Storage) -> Result<Self> {
        let kind = Kind::of(weights);
        let Coverage { unknown, missing } = Coverage::of(weights);
        let fail = |message: String| Err(Error::weights(weights.path(), message));
        if let Some((name, near)) = unknown.first() {
            let near = near.as_ref().map_or_else(String::new, |near| format!(" (near `{near}`)"));
            return fail(format!("{} tensors are unknown to {kind}, the first is `{name}`{near}", unknown.len()));
        }
        if let Some(name) = missing.first() {
            return fail(format!("{kind} without {} of its tensors, the first is `{name}`; download it again", missing.len()));
        }
        let (stem, architecture, config) = match kind {
            Kind::Animate | Kind::Transformer => ("diffusion_pytorch_model", "wan", config::<dit::config::Config>(weights)?),
            Kind::Vae21 | Kind::Vae22 => ("diffusion_pytorch_model", "wan", config::<vae::config::Config>(weights)?),
            Kind::Umt5 => ("model", "t5encoder", config::<umt5::config::Config>(weights)?),
            Kind::Clip => ("model", "clip", config::<clip::config::Config>(weights)?),
            Kind::Lora | Kind::Unknown => {
                return fail(format!("this is {kind}; a transformer, text encoder, image encoder or VAE is wanted"));
            }
        };
        Ok(Self { kind, converted: Converted::new(weights, storage), name, stem, architecture, storage, config })
    }

    /// Writes its files into its folder.
    pub(super) fn write(&self, folder: &Path, shard_size: u64, watch: Watch) -> Result<()> {
        let folder = folder.join(self.name);
        write_json(&folder.join("config.json"), &self.config)?;
        match self.storage {
            // What has no such blocks is no GGUF either.
            Storage::Q8_0 if self.converted.is_quantized() => self.converted.write_gguf(&folder, self.stem, self.architecture, watch),
            _ => self.converted.write_safetensors(&folder, self.stem, shard_size, watch),
        }
    }
}

/// The configuration beside a checkpoint, or what its tensors tell.
fn config<C: Sizes>(weights: &Weights) -> Result<Value> {
    match config_beside(weights)?.filter(C::is_described) {
        Some(json) => Ok(json),
        None => Ok(C::detect(weights)?.to_json()),
    }
}
