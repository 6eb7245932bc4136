//! Halving and doubling of frames in height, width and, where the level has it, time.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::{CausalConv3d, History, Loader};
use crate::models::vae::feature_cache::LayerCache;
use crate::ops::conv::{ConvOptions, ConvWeight, conv};
use crate::ops::finish::Finish;

/// A 3x3 convolution of single frames.
#[derive(Debug)]
struct Conv2d {
    weight: ConvWeight,
    bias: Tensor,
}

impl Conv2d {
    fn load(loader: &Loader, name: &str, inputs: usize, outputs: usize) -> Result<Self> {
        let scope = loader.scope(name);
        Ok(Self { weight: scope.conv("weight", &[outputs, inputs, 3, 3])?, bias: scope.tensor("bias", &[outputs])? })
    }

    fn forward(&self, rec: &mut Recorder, x: &Tensor, options: ConvOptions) -> Result<Tensor> {
        conv(rec, x, &self.weight, ConvOptions { finish: Finish { bias: Some(&self.bias), ..options.finish }, ..options }, DType::F32)
    }
}

/// Halves height and width.
#[derive(Debug)]
pub struct Downsample {
    resample: Conv2d,
    time_conv: Option<CausalConv3d>,
}

impl Downsample {
    /// `in_time`: halves the number of frames too.
    pub fn load(loader: &Loader, width: usize, in_time: bool) -> Result<Self> {
        let resample = Conv2d::load(loader, "resample.1", width, width)?;
        let time_conv = in_time.then(|| CausalConv3d::load(loader, "time_conv", [width, width, 3, 1, 1]));
        Ok(Self { resample, time_conv: time_conv.transpose()? })
    }

    /// Whether it halves the number of frames.
    pub fn in_time(&self) -> bool {
        self.time_conv.is_some()
    }

    /// The next frame [1, H, W, C] to none or one of [1, H/2, W/2, C].
    ///
    /// In time, the first frame passes by the convolution; after it every second frame gives one, from itself and the two before.
    pub fn forward(&self, rec: &mut Recorder, x: &Tensor, history: &mut History) -> Result<Option<Tensor>> {
        let x = self.resample.forward(rec, x, ConvOptions { stride: 2, pad: [(0, 0), (0, 1), (0, 1)], ..Default::default() })?;
        let Some(time_conv) = &self.time_conv else { return Ok(Some(x)) };
        let result = match history.len() {
            0 => Some(x.clone()),
            1 => None,
            _ => Some(time_conv.apply(rec, &x, history, None)?),
        };
        if history.len() == 2 {
            history.clear();
        }
        history.push_front(x);
        Ok(result)
    }
}

/// Doubles height and width.
#[derive(Debug)]
pub struct Upsample {
    resample: Conv2d,
    /// One for each of the two frames that a frame becomes.
    time_conv: Option<[CausalConv3d; 2]>,
}

impl Upsample {
    /// From `width` channels to `outputs`; `in_time`: doubles the number of frames too.
    pub fn load(loader: &Loader, width: usize, outputs: usize, in_time: bool) -> Result<Self> {
        let resample = Conv2d::load(loader, "resample.1", width, outputs)?;
        let time_conv = in_time.then(|| time_convs(&loader.scope("time_conv"), width));
        Ok(Self { resample, time_conv: time_conv.transpose()? })
    }

    /// The next frame [1, H, W, C] to one or two of [1, 2H, 2W, outputs].
    ///
    /// In time, the first frame stays one and the convolution never sees it; every later one becomes two.
    pub fn forward(&self, rec: &mut Recorder, x: &Tensor, cache: &mut LayerCache) -> Result<Vec<Tensor>> {
        let frames = match &self.time_conv {
            Some([even, odd]) if cache.started => {
                let history = &mut cache.histories[0];
                vec![even.apply(rec, x, history, None)?, odd.forward(rec, x, history, None)?]
            }
            _ => vec![x.clone()],
        };
        cache.started = true;
        let options = ConvOptions { upsample: true, pad: [(0, 0), (1, 1), (1, 1)], ..Default::default() };
        frames.iter().map(|frame| self.resample.forward(rec, frame, options)).collect()
    }
}

/// A convolution to twice the channels, of which the first half are the channels of one frame and the rest those of the next.
fn time_convs(scope: &Loader, width: usize) -> Result<[CausalConv3d; 2]> {
    let weight = scope.values("weight", &[2 * width, width, 3, 1, 1])?;
    let bias = scope.values("bias", &[2 * width])?;
    let half = |values: Vec<f32>, i: usize| values[i * (values.len() / 2)..][..values.len() / 2].to_vec();
    let frame = |i| CausalConv3d::from_values(scope, [width, width, 3, 1, 1], &|| Ok(half(weight()?, i)), &|| Ok(half(bias()?, i)));
    Ok([frame(0)?, frame(1)?])
}
