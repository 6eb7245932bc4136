//! Stand-in; see the branch that lands it.
#![allow(missing_docs)]
use crate::error::Result;
use crate::gpu::Recorder;
use crate::layers::Loader;
use crate::models::dit::config::Config;
use crate::tensor::Tensor;
#[derive(Debug)]
pub struct FaceEncoder;
impl FaceEncoder {
    pub fn load(_: &Loader, _: &Config) -> Result<Self> {
        Ok(Self)
    }
    /// [F, motion_encoder_dim] -> [T, heads + 1, width], without the zero frame
    pub fn forward(&self, _: &mut Recorder, x: &Tensor) -> Result<Tensor> {
        Ok(x.clone())
    }
}
