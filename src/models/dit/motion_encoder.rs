//! Stand-in; see the branch that lands it.
#![allow(missing_docs)]
use crate::error::Result;
use crate::gpu::Recorder;
use crate::layers::Loader;
use crate::models::dit::config::Config;
use crate::tensor::Tensor;
#[derive(Debug)]
pub struct MotionEncoder;
impl MotionEncoder {
    pub fn load(_: &Loader, _: &Config) -> Result<Self> {
        Ok(Self)
    }
    /// [F, S, S, 3] -> [F, motion_encoder_dim]
    pub fn forward(&self, _: &mut Recorder, x: &Tensor) -> Result<Tensor> {
        Ok(x.clone())
    }
}
