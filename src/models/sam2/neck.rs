//! From what Hiera's stages make to three levels of features of one width.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::{Linear, Loader};
use crate::models::sam2::config::{Config, STAGES};
use crate::ops::strided::{View, strided};

/// How many levels are made: the coarsest stage only adds to the one before.
pub const LEVELS: usize = STAGES - 1;

/// A feature pyramid.
#[derive(Debug)]
pub struct Neck {
    /// By stage.
    convs: [Linear; STAGES],
}

impl Neck {
    /// From `image_encoder.neck.`, whose layers go from the coarsest stage to the finest.
    pub fn load(loader: &Loader, config: &Config) -> Result<Self> {
        let conv = |stage: usize| {
            let name = format!("convs.{}.conv", STAGES - 1 - stage);
            pointwise(loader, &name, config.dim(stage), config.hidden_size)
        };
        Ok(Self { convs: [conv(0)?, conv(1)?, conv(2)?, conv(3)?] })
    }

    /// What stages made, [H, W, C], to features [H * W, hidden] in f32, the finest first.
    pub fn forward(&self, rec: &mut Recorder, stages: &[Tensor; STAGES]) -> Result<[Tensor; LEVELS]> {
        let rows = |stage: usize| stages[stage].reshape(&[stages[stage].rows(), stages[stage].cols()]);
        let coarse = self.convs[3].forward(rec, &rows(3), DType::F32)?;
        let doubled = doubled(rec, &coarse, [stages[3].shape()[0], stages[3].shape()[1]])?;
        Ok([
            self.convs[0].forward(rec, &rows(0), DType::F32)?,
            self.convs[1].forward(rec, &rows(1), DType::F32)?,
            self.convs[2].forward_residual(rec, &rows(2), None, &doubled)?,
        ])
    }
}

/// A convolution of single pixels, as a layer over rows of them.
pub(super) fn pointwise(loader: &Loader, name: &str, inputs: usize, outputs: usize) -> Result<Linear> {
    let scope = loader.scope(name);
    Ok(Linear::new(scope.matrix("weight", &[outputs, inputs, 1, 1])?, Some(scope.tensor("bias", &[outputs])?)))
}

/// Pixels [H * W, C] at twice the height and width, each four times.
fn doubled(rec: &mut Recorder, x: &Tensor, [height, width]: [usize; 2]) -> Result<Tensor> {
    let channels = x.cols();
    let out = rec.alloc(&[4 * height * width, channels], DType::F32)?;
    let from = View { offset: 0, strides: vec![(width * channels) as isize, 0, channels as isize, 0, 1] };
    let row = 2 * width * channels;
    let to = View { offset: 0, strides: vec![2 * row as isize, row as isize, 2 * channels as isize, channels as isize, 1] };
    strided(rec, &[height, 2, width, 2, channels], (x, &from), (&out, &to))?;
    Ok(out)
}
