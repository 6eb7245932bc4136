//! What all pipelines have: loaded parts, and a dry twin on which plans are made.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::gpu::Device;
use crate::pipelines::checkpoint::{parts::Parts, recipe::Recipe, transformer::Transformer};

/// Traits that only this crate implements, so that they can grow.
pub(crate) mod sealed {
    pub trait Sealed {}
}

/// A pipeline that can be built: [`AnimatePipeline`](crate::AnimatePipeline) or [`VideoPipeline`](crate::VideoPipeline), and no other. Cheap to
/// clone.
pub trait Pipeline: Clone + sealed::Sealed {
    #[doc(hidden)]
    type Transformer: Transformer;

    #[doc(hidden)]
    fn load(device: &Device, recipe: &Recipe) -> Result<Self>;

    #[doc(hidden)]
    fn parts(&self) -> &Arc<Parts<Self::Transformer>>;

    #[doc(hidden)]
    fn twin(&self) -> &Twin<Self>;
}

/// A pipeline's dry twin. Made when it is first asked for; clones share it.
#[derive(Clone, Debug)]
pub struct Twin<P> {
    device: Device,
    recipe: Recipe,
    pipeline: Arc<Mutex<Option<P>>>,
}

impl<P> Twin<P> {
    /// Names of the files of its LoRAs.
    pub(crate) fn lora_names(&self) -> impl Iterator<Item = String> {
        self.recipe.loras.0.iter().map(|(_, lora)| lora.name())
    }
}

impl<P: Pipeline> Twin<P> {
    /// Of what is built by the same recipe.
    pub fn new(device: &Device, recipe: &Recipe) -> Self {
        let recipe = Recipe { budget: None, ..recipe.for_plan() };
        Self { device: device.clone(), recipe, pipeline: Arc::default() }
    }

    /// Does something with it. One plan is made at a time, since memory is counted for the whole device.
    pub fn with<R>(&self, work: impl FnOnce(&P) -> Result<R>) -> Result<R> {
        let mut pipeline = self.pipeline.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = &*pipeline {
            return work(pipeline);
        }
        let dry = self.device.dry(self.device.limits().clone());
        work(pipeline.insert(P::load(&dry, &self.recipe)?))
    }
}
