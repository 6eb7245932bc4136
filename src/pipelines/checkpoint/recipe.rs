//! What is to be loaded of a checkpoint, and how.

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::gpu::{Device, sink::Watch, sink::Watched};
use crate::layers::Precision;
use crate::pipelines::checkpoint::{expert::Expert, source::Source};
use crate::weights::{Lora, Weights};

/// What a pipeline is built of.
#[derive(Clone, Debug, Default)]
pub struct Recipe {
    pub(crate) source: Source,
    pub(crate) precision: Precision,
    pub(crate) loras: Loras,
    /// Bytes; where there is none, all blocks are loaded at once.
    pub(crate) budget: Option<u64>,
    pub(crate) watch: Watch,
}

impl Recipe {
    /// The same for a dry device, whose weights nobody waits for.
    pub(crate) fn for_plan(&self) -> Self {
        Self { watch: Watch::default(), ..self.clone() }
    }

    /// Where weights go that are loaded at once.
    pub(crate) fn sink(&self, device: &Device) -> Watched {
        Watched::new(device, &self.watch)
    }
}

/// LoRAs, each for one of two experts or for all transformers.
#[derive(Clone, Debug, Default)]
pub struct Loras(pub(crate) Vec<(Option<Expert>, Lora)>);

impl Loras {
    /// Of all of them, added to that of the transformers' weights. On a dry device, where no weight is read, of nothing.
    pub(crate) fn digest<'a>(&self, device: &Device, transformers: impl IntoIterator<Item = &'a Weights>) -> Result<Digest> {
        if device.rehearsal().is_some() {
            return Ok(Digest::new());
        }
        let mut digest = Digest::new();
        for weights in transformers {
            digest.add(weights.digest()?.to_string().as_bytes());
        }
        for (place, lora) in &self.0 {
            digest.add(format!("{place:?} {}", lora.digest()?).as_bytes());
        }
        Ok(digest)
    }

    /// Merges those for `expert`, or for the only transformer where that is none.
    pub(crate) fn merge(&self, weights: &mut Weights, expert: Option<Expert>) -> Result<()> {
        for (place, lora) in &self.0 {
            match (place, expert) {
                (Some(place), None) => {
                    return Err(Error::Input(format!("a LoRA for the {place}, where the checkpoint has one transformer: use `lora`")));
                }
                _ if place.is_none() || *place == expert => weights.add_lora(lora)?,
                _ => {}
            }
        }
        Ok(())
    }
}
