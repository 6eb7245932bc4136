//! Latents on the host, and as frames.

use std::sync::Arc;

use image::RgbImage;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::location::Location;
use crate::models::vae::preview::RgbFactors;
use crate::ops::{copy::concat, permute::permute};
use crate::weights::Weights;

/// Latents on the host.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Latents {
    /// C, T, H, W.
    pub shape: [usize; 4],
    /// In that order, last axis contiguous.
    pub values: Vec<f32>,
    /// Of previews.
    look: Option<Look>,
}

/// What a preview looks like.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Look {
    /// Its colours are these.
    Factors(Arc<RgbFactors>),
    /// It was decoded.
    Pictures(Arc<Vec<RgbImage>>),
}

impl Latents {
    /// Of `[C, T, H, W]` values, last axis contiguous.
    ///
    /// # Errors
    /// [`Error::Input`] where their number is not that of the shape.
    pub fn new(shape: [usize; 4], values: Vec<f32>) -> Result<Self> {
        match shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent)) {
            Some(count) if count == values.len() => Ok(Self { shape, values, look: None }),
            _ => Err(Error::Input(format!("{} values for latents of shape {shape:?}", values.len()))),
        }
    }

    /// Those of a preview.
    pub(crate) fn preview(shape: [usize; 4], values: Vec<f32>, look: Look) -> Self {
        Self { shape, values, look: Some(look) }
    }

    /// A [preview](crate::Event::Preview) as pictures: one of W x H pixels for each latent frame, so an eighth of the video's size or a sixteenth,
    /// and a picture for four frames. Colours are weighted sums of the channels, by factors fitted to the loaded VAE: right in the large, without
    /// detail. It takes the host next to no time. With a [`preview_decoder`](crate::Builder::preview_decoder), all frames in full size, which were
    /// decoded when the preview was told. None for latents that are no preview.
    pub fn to_rgb(&self) -> Option<Vec<RgbImage>> {
        self.look.as_ref().map(|look| match look {
            Look::Factors(factors) => factors.pictures(self.shape, &self.values),
            Look::Pictures(pictures) => pictures.to_vec(),
        })
    }

    /// Reads the noise of segments from a safetensors file: `segment_0`, `segment_1` and so on, each of four axes.
    ///
    /// # Errors
    /// [`Error::Weights`] where the file is damaged, has another tensor, or one of another rank or not finite.
    pub fn read_segments(file: impl Into<Location>) -> Result<Vec<Self>> {
        let weights = Weights::open(file)?;
        let mut segments = Vec::new();
        while let Some(info) = weights.info(&format!("segment_{}", segments.len())) {
            let name = format!("segment_{}", segments.len());
            let shape = <[usize; 4]>::try_from(&info.shape[..])
                .map_err(|_| Error::tensor(weights.path(), &name, format!("shape {:?}, expected [C, T, H, W]", info.shape)))?;
            segments.push(Self { shape, values: weights.to_f32(&name, &shape)?, look: None });
        }
        weights.finish()?;
        Ok(segments)
    }

    /// Whether these can be the noise of segment `k`, for a model that takes `shape`.
    pub(crate) fn check_noise(&self, k: usize, shape: [usize; 4]) -> Result<()> {
        if self.shape != shape || self.values.len() != shape.iter().product::<usize>() {
            let (got, values) = (self.shape, self.values.len());
            return Err(Error::Input(format!("the noise of segment {k} is {got:?} with {values} values, expected {shape:?}")));
        }
        if self.values.iter().any(|value| !value.is_finite()) {
            return Err(Error::Input(format!("the noise of segment {k} has values that are not finite")));
        }
        Ok(())
    }
}

/// T latent frames [H, W, C] as [C, T, H, W].
pub fn join(rec: &mut Recorder, frames: &[Tensor]) -> Result<Tensor> {
    let framed = |frame: &Tensor| frame.reshape(&[&[1], frame.shape()].concat());
    let frames: Vec<_> = frames.iter().map(framed).collect();
    let latents = concat(rec, &frames.iter().collect::<Vec<_>>())?;
    permute(rec, &latents, &[3, 0, 1, 2], DType::F32)
}
