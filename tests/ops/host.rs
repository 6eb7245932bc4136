//! Tensors on the host, with the values that the GPU will see.

use half::{bf16, f16};
use wan_animate::unversioned::dtype::DType;
use wan_animate::unversioned::gpu::Tensor;
use wan_animate::unversioned::gpu::{Recorder, Sink};
use wan_animate::unversioned::ops::matrix::Matrix;
use wan_animate::{Device, Result};

use crate::approx::Approx;

#[derive(Clone, Debug)]
pub struct Host {
    pub shape: Vec<usize>,
    pub dtype: DType,
    pub values: Vec<f32>,
}

impl Host {
    pub fn new(shape: &[usize], values: impl FnMut(usize) -> f32) -> Self {
        Self { shape: shape.to_vec(), dtype: DType::F32, values: (0..shape.iter().product()).map(values).collect() }
    }

    /// Even in [-size, size], the same for one seed and shape.
    pub fn random(seed: u64, shape: &[usize], size: f32) -> Self {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ shape.iter().fold(7, |hash, &n| hash * 31 + n as u64);
        Self::new(shape, |_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((mixed >> 40) as f32 / (1 << 23) as f32 - 1.0) * size
        })
    }

    /// The same values as an element type can hold them.
    pub fn to(mut self, dtype: DType) -> Self {
        for value in &mut self.values {
            *value = match dtype {
                DType::F32 => *value,
                DType::F16 => f16::from_f32(*value).to_f32(),
                DType::Bf16 => bf16::from_f32(*value).to_f32(),
            };
        }
        Self { dtype, ..self }
    }

    pub fn bytes(&self) -> Vec<u8> {
        match self.dtype {
            DType::F32 => bytemuck::cast_slice(&self.values).to_vec(),
            DType::F16 => self.values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
            DType::Bf16 => self.values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect(),
        }
    }

    /// A tensor of this recorder, or a weight where the type has 16 bits.
    pub fn send(&self, rec: &mut Recorder) -> Result<Tensor> {
        match self.dtype {
            DType::F32 => rec.upload(&self.shape, &self.values),
            _ => rec.device().upload("input", &self.shape, self.dtype, &self.bytes()),
        }
    }

    pub fn at(&self, index: usize) -> Approx {
        Approx::exact(self.values[index])
    }

    pub fn cols(&self) -> usize {
        *self.shape.last().expect("an axis")
    }

    pub fn rows(&self) -> usize {
        self.values.len() / self.cols()
    }
}

/// Sends a tensor that may be left out.
pub fn send(host: &Option<Host>, rec: &mut Recorder) -> Result<Option<Tensor>> {
    host.as_ref().map(|host| host.send(rec)).transpose()
}

/// The matrix of a [N, K] host tensor.
pub fn matrix(host: &Host, device: &Device) -> Result<Matrix> {
    Matrix::upload(device, "w", [host.shape[0], host.shape[1]], host.dtype, &|| Ok(host.bytes().into()))
}
