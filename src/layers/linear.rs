//! Linear layers.

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::Loader;
use crate::ops::{Activation, epilogue::Epilogue, matmul::matmul, matrix::Matrix};

/// x W^T + b.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Matrix,
    bias: Option<Tensor>,
}

impl Linear {
    /// `name.weight` [outputs, inputs] and `name.bias` `[outputs]`.
    pub fn load(loader: &Loader, name: &str, inputs: usize, outputs: usize) -> Result<Self> {
        let scope = loader.scope(name);
        Ok(Self { weight: scope.matrix("weight", &[outputs, inputs])?, bias: Some(scope.tensor("bias", &[outputs])?) })
    }

    /// `name.weight` alone.
    pub fn load_without_bias(loader: &Loader, name: &str, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self { weight: loader.scope(name).matrix("weight", &[outputs, inputs])?, bias: None })
    }

    /// From parts that were loaded otherwise.
    pub fn new(weight: Matrix, bias: Option<Tensor>) -> Self {
        Self { weight, bias }
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
        matmul(rec, x, &self.weight, Epilogue { bias: self.bias.as_ref(), ..epilogue }, dtype)
    }
}
