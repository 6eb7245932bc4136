//! A tensor that waits to be used again, on the GPU or on the host.

use crate::error::Result;
use crate::gpu::{Recorder, Tensor};

/// See the module. In f32, so that the host has its bits.
#[derive(Debug)]
pub enum Parked {
    /// On the GPU.
    Device(Tensor),
    /// On the host.
    Host {
        /// Its extents.
        shape: Vec<usize>,
        /// Its elements.
        values: Vec<f32>,
    },
}

impl Parked {
    /// Waits for the GPU where it is to lie on the host.
    pub fn new(rec: &mut Recorder, tensor: Tensor, on_host: bool) -> Result<Self> {
        match on_host {
            false => Ok(Self::Device(tensor)),
            true => Ok(Self::Host { shape: tensor.shape().to_vec(), values: rec.download(&tensor)? }),
        }
    }

    /// On the GPU again.
    pub fn tensor(&self, rec: &mut Recorder) -> Result<Tensor> {
        match self {
            Self::Device(tensor) => Ok(tensor.clone()),
            Self::Host { shape, values } => rec.upload(shape, values),
        }
    }
}
