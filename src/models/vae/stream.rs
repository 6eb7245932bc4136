//! Layers in a row, through which a video runs frame by frame.

use crate::error::Result;
use crate::gpu::Recorder;
use crate::layers::{CausalConv3d, History};
use crate::models::vae::blocks::{AttentionBlock, Head, ResidualBlock};
use crate::models::vae::feature_cache::{FeatureCache, LayerCache};
use crate::models::vae::resample::{Downsample, Upsample};
use crate::models::vae::shortcut::Shortcut;
use crate::tensor::Tensor;

/// One layer of an encoder or a decoder: a frame goes in, any number of frames comes out.
#[derive(Debug)]
pub enum Layer {
    /// A convolution alone.
    Conv(CausalConv3d),
    /// A residual block.
    Residual(ResidualBlock),
    /// Attention within the frame.
    Attention(AttentionBlock),
    /// To half the size.
    Downsample(Downsample),
    /// To twice the size.
    Upsample(Upsample),
    /// Layers with a shortcut past them.
    Shortcut(Shortcut),
    /// The end of an encoder or decoder.
    Head(Head),
}

impl Layer {
    fn forward(&self, rec: &mut Recorder, x: &Tensor, cache: &mut LayerCache) -> Result<Vec<Tensor>> {
        let first: &mut History = &mut cache.histories[0];
        Ok(match self {
            Self::Conv(conv) => vec![conv.forward(rec, x, first, None)?],
            Self::Residual(block) => vec![block.forward(rec, x, &mut cache.histories)?],
            Self::Attention(block) => vec![block.forward(rec, x)?],
            Self::Downsample(downsample) => downsample.forward(rec, x, first)?.into_iter().collect(),
            Self::Upsample(upsample) => upsample.forward(rec, x, cache)?,
            Self::Shortcut(shortcut) => shortcut.forward(rec, x, cache)?,
            Self::Head(head) => vec![head.forward(rec, x, first)?],
        })
    }
}

/// The passage of one video.
#[derive(Debug)]
pub struct Stream<'a> {
    layers: &'a [Layer],
    cache: FeatureCache,
}

impl<'a> Stream<'a> {
    /// Before the first frame.
    pub fn new(layers: &'a [Layer]) -> Self {
        Self { layers, cache: FeatureCache::default() }
    }

    /// Passes the next frame [1, H, W, C] through all layers. After an error the stream is of no more use.
    pub fn next(&mut self, rec: &mut Recorder, x: Tensor) -> Result<Vec<Tensor>> {
        pass(rec, self.layers, &mut self.cache, x)
    }
}

/// Passes the next frame through `layers`, whose memory `cache` is.
pub(super) fn pass(rec: &mut Recorder, layers: &[Layer], cache: &mut FeatureCache, x: Tensor) -> Result<Vec<Tensor>> {
    let mut results = Vec::new();
    run(rec, layers, cache.layers(layers.len()), x, &mut results)?;
    Ok(results)
}

/// Depth first: where a frame has become two, the first runs to the end before the second, so that at full resolution there is
/// never more than one frame at work.
fn run(rec: &mut Recorder, layers: &[Layer], cache: &mut [LayerCache], x: Tensor, results: &mut Vec<Tensor>) -> Result<()> {
    let (Some((layer, layers)), Some((first, cache))) = (layers.split_first(), cache.split_first_mut()) else {
        results.push(x);
        return Ok(());
    };
    let frames = layer.forward(rec, &x, first)?;
    drop(x);
    frames.into_iter().try_for_each(|frame| run(rec, layers, cache, frame, results))
}
