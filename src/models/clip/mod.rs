//! CLIP's vision tower, as far as video models use it: all of its layers but the last, and no norm after them.

pub mod config;
pub mod embeddings;
pub mod layer;

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::Recorder;
use crate::layers::{LayerNorm, Loader};
use crate::models::clip::config::Config;
use crate::models::clip::embeddings::Embeddings;
use crate::models::clip::layer::Layer;
use crate::tensor::Tensor;

/// A `CLIPVisionModel`.
#[derive(Debug)]
pub struct VisionModel {
    embeddings: Embeddings,
    pre_layrnorm: LayerNorm,
    layers: Vec<Layer>,
}

impl VisionModel {
    /// Reads a checkpoint whose names begin with `vision_model.` (transformers 4) or do not (transformers 5). The last layer and
    /// the norm after it are checked but not uploaded.
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        config.check()?;
        let prefixed = loader.scope("vision_model");
        let loader = if prefixed.contains("pre_layrnorm.weight") { &prefixed } else { loader };
        let layer = |i: usize| loader.scope(format_args!("encoder.layers.{i}"));
        let last = config.num_hidden_layers - 1;
        let model = Self {
            embeddings: Embeddings::load(&loader.scope("embeddings"), config)?,
            // The name is misspelt in every checkpoint.
            pre_layrnorm: LayerNorm::load(loader, "pre_layrnorm", config.hidden_size, config.layer_norm_eps)?,
            layers: (0..last).map(|i| Layer::load(&layer(i), config)).collect::<Result<_>>()?,
        };
        layer::skip(&layer(last), config)?;
        layer::skip_norm(loader, "post_layernorm", config)?;
        Ok(model)
    }

    /// What the last layer would be fed, [tokens, hidden_size] in f32, for a normalised image [3, S, S] in f32. The first token
    /// is the class's, the others are the patches row by row.
    pub fn forward(&self, rec: &mut Recorder, pixels: &Tensor) -> Result<Tensor> {
        let x = self.embeddings.forward(rec, pixels)?;
        let x = self.pre_layrnorm.forward(rec, &x, DType::F32)?;
        self.layers.iter().try_fold(x, |x, layer| layer.forward(rec, &x))
    }
}
