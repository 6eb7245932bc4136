//! Layers in a row, through which a video runs frame by frame.

use std::ops::Range;
use std::sync::Arc;

use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::{CausalConv3d, History};
use crate::models::vae::blocks::{AttentionBlock, Head, ResidualBlock};
use crate::models::vae::{
    feature_cache::FeatureCache, feature_cache::LayerCache, resample::Downsample, resample::Upsample, shortcut::Shortcut,
};

/// One layer of an encoder or a decoder: a frame goes in, any number of frames comes out.
#[derive(Debug)]
pub enum Layer {
    Conv(CausalConv3d),
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
    /// How far a pixel of the result sees to each side, in pixels of what goes in.
    pub(super) fn reach(&self) -> f64 {
        match self {
            Self::Conv(conv) => conv.reach() as f64,
            // Two convolutions of 3x3.
            Self::Residual(_) => 2.0,
            Self::Attention(_) => f64::INFINITY,
            // One of 3x3 before it halves, or after it doubles; one before the end.
            Self::Downsample(_) | Self::Head(_) => 1.0,
            Self::Upsample(_) => 0.5,
            Self::Shortcut(shortcut) => reach(shortcut.layers()),
        }
    }

    /// Pixels of the result to one of what goes in, along a side.
    pub(super) fn scale(&self) -> f64 {
        match self {
            Self::Downsample(_) => 0.5,
            Self::Upsample(_) => 2.0,
            Self::Shortcut(shortcut) => shortcut.layers().iter().map(Self::scale).product(),
            _ => 1.0,
        }
    }

    /// How many of the frames before a result depends on, where every frame gives one; none of other layers.
    fn memory(&self) -> Option<usize> {
        match self {
            Self::Conv(conv) => Some(conv.memory()),
            // Two convolutions over three frames.
            Self::Residual(_) => Some(4),
            Self::Downsample(downsample) if !downsample.in_time() => Some(0),
            _ => None,
        }
    }

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

/// How far a pixel of the result sees to each side, in pixels of what goes into these layers.
pub(super) fn reach(layers: &[Layer]) -> f64 {
    let mut scale = 1.0;
    layers.iter().fold(0.0, |sum, layer| {
        let reach = layer.reach() / scale;
        scale *= layer.scale();
        sum + reach
    })
}

/// The passage of one video.
#[derive(Debug)]
pub struct Stream {
    layers: Arc<[Layer]>,
    /// Those before the number of frames changes.
    front: Range<usize>,
    rest: Range<usize>,
    front_cache: FeatureCache,
    rest_cache: FeatureCache,
    repeated: Option<Repeated>,
}

/// A frame that came several times in a row: the very same tensor.
#[derive(Debug)]
struct Repeated {
    frame: Tensor,
    /// How often after the first time.
    repeats: usize,
    /// What the front layers made of it last; kept once it has come twice.
    made: Option<Tensor>,
}

impl Stream {
    /// Before the first frame; through these layers alone.
    pub fn new(layers: &Arc<[Layer]>, range: Range<usize>) -> Self {
        let split = range.start + layers[range.clone()].iter().take_while(|layer| layer.memory().is_some()).count();
        Self {
            layers: layers.clone(),
            front: range.start..split,
            rest: split..range.end,
            front_cache: FeatureCache::default(),
            rest_cache: FeatureCache::default(),
            repeated: None,
        }
    }

    /// Passes the next frame [1, H, W, C] through all layers. After an error the stream is of no more use.
    ///
    /// A frame that is the same tensor as all that the front layers remember passes them by: they would make the same again.
    pub fn next(&mut self, rec: &mut Recorder, x: Tensor) -> Result<Vec<Tensor>> {
        let (front, rest) = (&self.layers[self.front.clone()], &self.layers[self.rest.clone()]);
        let memory: usize = front.iter().filter_map(Layer::memory).sum();
        let repeated = match self.repeated.take() {
            Some(repeated) if repeated.frame.is(&x) => Repeated { repeats: repeated.repeats + 1, ..repeated },
            _ => Repeated { frame: x.clone(), repeats: 0, made: None },
        };
        let made = match &repeated.made {
            Some(made) if repeated.repeats > memory => made.clone(),
            _ => pass(rec, front, &mut self.front_cache, x)?.remove(0),
        };
        let kept = (repeated.repeats > 0).then(|| made.clone());
        self.repeated = Some(Repeated { made: kept, ..repeated });
        pass(rec, rest, &mut self.rest_cache, made)
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
