//! From an image to tokens.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::layers::Loader;
use crate::models::clip::config::Config;
use crate::ops::conv::{ConvOptions, ConvWeight, conv};
use crate::ops::finish::Finish;
use crate::ops::{copy::concat, permute::permute};

/// The patches' convolution, the class token, and the positions of both.
#[derive(Debug)]
pub struct Embeddings {
    image_size: usize,
    /// The class's embedding and its position, already added: [1, C].
    class: Tensor,
    patch_embedding: ConvWeight,
    /// [1, rows, cols, C]
    patch_positions: Tensor,
}

impl Embeddings {
    /// From `embeddings.`
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        let (width, side, patch) = (config.hidden_size, config.patches(), config.patch_size);
        let tokens = 1 + side * side;
        let class = loader.values("class_embedding", &[width])?;
        let positions = loader.values("position_embedding.weight", &[tokens, width])?;
        // The numbers 0, 1, 2 .. that older versions of transformers stored.
        if loader.contains("position_ids") {
            loader.claim("position_ids", &[1, tokens])?;
        }
        let class = || Ok(class()?.iter().zip(positions()?).map(|(value, position)| value + position).collect());
        Ok(Self {
            image_size: config.image_size,
            class: loader.upload("class_embedding", &[1, width], &class)?,
            patch_embedding: loader.conv("patch_embedding.weight", &[width, config.num_channels, patch, patch])?,
            patch_positions: loader.upload("position_embedding.weight", &[1, side, side, width], &|| Ok(positions()?.split_off(width)))?,
        })
    }

    /// [3, S, S] to tokens [L, C], both in f32.
    pub fn forward(&self, rec: &mut Recorder, pixels: &Tensor) -> Result<Tensor> {
        let side = self.image_size;
        if pixels.shape() != [3, side, side] {
            return Err(Error::Input(format!("the image encoder's pixels: shape {:?}, expected [3, {side}, {side}]", pixels.shape())));
        }
        let image = permute(rec, pixels, &[1, 2, 0], DType::F32)?.reshape(&[1, side, side, 3]);
        let [_, patch, _] = self.patch_embedding.kernel();
        let finish = Finish { residual: Some(&self.patch_positions), ..Default::default() };
        let options = ConvOptions { stride: patch, finish, ..Default::default() };
        let patches = conv(rec, &image, &self.patch_embedding, options, DType::F32)?;
        let patches = patches.reshape(&[patches.rows(), patches.cols()]);
        concat(rec, &[&self.class, &patches])
    }
}
