//! CLIP's vision tower, as far as video models use it: all of its layers but the last, and no norm after them.

pub mod config;
pub mod embeddings;
pub mod layer;
pub mod names;
pub mod spec;

use std::sync::Arc;

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Sink, Tensor};
use crate::layers::{LayerNorm, Loader, Precision, stack::Stack};
use crate::models::clip::{config::Config, embeddings::Embeddings, layer::Layer};
use crate::weights::Weights;

#[derive(Debug)]
pub struct VisionModel {
    embeddings: Embeddings,
    pre_layrnorm: LayerNorm,
    layers: Stack<Layer>,
}

impl VisionModel {
    /// Reads a checkpoint whose names begin with `vision_model.` (transformers 4) or do not (transformers 5). The last layer and
    /// the norm after it are checked but not uploaded.
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        config.check()?;
        let layers = Stack::load(loader, config.num_hidden_layers - 1, |loader, i| layer(loader, config, i))?;
        Self::with_layers(loader, config, layers)
    }

    /// Leaves the layers in the file: each is on the GPU only while it is at work.
    pub fn open(sink: &dyn Sink, weights: &Arc<Weights>, precision: Precision, config: &Config) -> Result<Self> {
        config.check()?;
        let own = config.clone();
        let layers = Stack::open(weights, precision, config.num_hidden_layers - 1, move |loader, i| layer(loader, &own, i));
        Self::with_layers(&Loader::new(sink, weights, precision), config, layers)
    }

    fn with_layers(loader: &Loader, config: &Config, layers: Stack<Layer>) -> Result<Self> {
        let loader = tower(loader);
        let model = Self {
            embeddings: Embeddings::load(&loader.scope("embeddings"), config)?,
            // The name is misspelt in every checkpoint.
            pre_layrnorm: LayerNorm::load(&loader, "pre_layrnorm", config.hidden_size, config.layer_norm_eps)?,
            layers,
        };
        let unread = loader.unread();
        Layer::load(&unread.scope(format_args!("encoder.layers.{}", config.num_hidden_layers - 1)), config)?;
        LayerNorm::load(&unread, "post_layernorm", config.hidden_size, config.layer_norm_eps)?;
        Ok(model)
    }

    /// What the last layer would be fed, [tokens, hidden_size] in f32, for a normalised image [3, S, S] in f32. The first token
    /// is the class's, the others are the patches row by row.
    pub fn forward(&self, rec: &mut Recorder, pixels: &Tensor) -> Result<Tensor> {
        let x = self.embeddings.forward(rec, pixels)?;
        let mut x = self.pre_layrnorm.forward(rec, &x, DType::F32)?;
        self.layers.pass(rec, &self.layers.claim(), self.layers.all(), |rec, _, layer| {
            x = layer.forward(rec, &x)?;
            Ok(())
        })?;
        Ok(x)
    }
}

/// Where the tower's names begin.
fn tower<'a>(loader: &Loader<'a>) -> Loader<'a> {
    let prefixed = loader.scope("vision_model");
    if prefixed.contains("pre_layrnorm.weight") { prefixed } else { loader.clone() }
}

fn layer(loader: &Loader, config: &Config, i: usize) -> Result<Layer> {
    Layer::load(&tower(loader).scope(format_args!("encoder.layers.{i}")), config)
}
