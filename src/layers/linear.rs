//! Linear layers.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::{Loader, Precision};
use crate::ops::{Activation, epilogue::Epilogue, matmul::matmul, matmul::matmul_int8, matrix::Matrix};

/// x W^T + b.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Matrix,
    bias: Option<Tensor>,
    int8: bool,
}

impl Linear {
    /// `name.weight` [outputs, inputs] and `name.bias` `[outputs]`.
    pub fn load(loader: &Loader, name: &str, inputs: usize, outputs: usize) -> Result<Self> {
        let unbiased = Self::load_without_bias(loader, name, inputs, outputs)?;
        Ok(Self { bias: Some(loader.scope(name).tensor("bias", &[outputs])?), ..unbiased })
    }

    /// `name.weight` alone.
    pub fn load_without_bias(loader: &Loader, name: &str, inputs: usize, outputs: usize) -> Result<Self> {
        let weight = loader.scope(name).matrix("weight", &[outputs, inputs])?;
        Ok(Self { weight, bias: None, int8: loader.precision() == Precision::Int8 })
    }

    /// From parts that were loaded otherwise.
    pub fn new(weight: Matrix, bias: Option<Tensor>) -> Self {
        Self { weight, bias, int8: false }
    }

    /// Width of what it makes.
    pub fn outputs(&self) -> usize {
        self.weight.rows()
    }

    /// x [L, inputs] to [L, outputs] as `dtype`.
    pub fn forward(&self, rec: &mut Recorder, x: &Tensor, dtype: DType) -> Result<Tensor> {
        self.forward_with(rec, x, Epilogue::default(), dtype)
    }

    /// With an activation after the bias.
    pub fn forward_activated(&self, rec: &mut Recorder, x: &Tensor, activation: Activation, dtype: DType) -> Result<Tensor> {
        self.forward_with(rec, x, Epilogue { activation, ..Default::default() }, dtype)
    }

    /// residual + gate * (x W^T + b), in f32: [L, outputs]. The gate is `[outputs]`, or 1 where left out.
    pub fn forward_residual(&self, rec: &mut Recorder, x: &Tensor, gate: Option<&Tensor>, residual: &Tensor) -> Result<Tensor> {
        self.forward_with(rec, x, Epilogue { gate, residual: Some(residual), ..Default::default() }, DType::F32)
    }

    fn forward_with(&self, rec: &mut Recorder, x: &Tensor, epilogue: Epilogue, dtype: DType) -> Result<Tensor> {
        let epilogue = Epilogue { bias: self.bias.as_ref(), ..epilogue };
        match self.int8 {
            true => matmul_int8(rec, x, &self.weight, epilogue, dtype),
            false => matmul(rec, x, &self.weight, epilogue, dtype),
        }
    }
}
