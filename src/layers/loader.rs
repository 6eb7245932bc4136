//! From a checkpoint to the GPU, tensor by tensor, with the precision decided in one place.

use std::str::FromStr;

use crate::dtype::{DType, to_f16};
use crate::error::{Error, Result};
use crate::gpu::{Device, Sink};
use crate::ops::conv::ConvWeight;
use crate::ops::expand::is_expandable;
use crate::ops::matrix::Matrix;
use crate::ops::operand_dtype;
use crate::tensor::Tensor;
use crate::weights::{TensorView, Weights};

/// In which precision operands of matrix products and attention are stored. Sums, norms, softmax, modulation and the residual
/// stream are f32 in either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precision {
    /// Weights as the checkpoint stores them, activations in f32: agrees with the reference in f32. Quantised weights become f32 just before
    /// they are used.
    F32,
    /// f32 weights become f16, 16-bit ones stay as they are, activations between layers are f16: half the memory. Quantised weights become
    /// f16 just before they are used.
    #[default]
    F16,
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            _ => Err(Error::Input(format!("unknown precision `{name}`: choose f32 or f16"))),
        }
    }
}

impl Precision {
    /// How activations that only feed a product are stored.
    pub fn operand(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
        }
    }
}

/// Uploads tensors of one checkpoint whose names begin with a prefix.
#[derive(Clone, Debug)]
pub struct Loader<'a> {
    sink: &'a dyn Sink,
    device: Device,
    weights: &'a Weights,
    prefix: String,
    precision: Precision,
    trusting: bool,
}

impl<'a> Loader<'a> {
    /// Names without a prefix.
    pub fn new(sink: &'a dyn Sink, weights: &'a Weights, precision: Precision) -> Self {
        Self { sink, device: sink.device(), weights, prefix: String::new(), precision, trusting: false }
    }

    /// Does not look for NaN: for tensors that were loaded before.
    pub fn trusting(self) -> Self {
        Self { trusting: true, ..self }
    }

    /// Names within `name`, as in `blocks.3`.
    pub fn scope(&self, name: impl std::fmt::Display) -> Self {
        Self { prefix: format!("{}{name}.", self.prefix), ..self.clone() }
    }

    /// The device that tensors go to.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Whether a plan is being made, for which no tensor is read.
    fn is_dry(&self) -> bool {
        self.device.rehearsal().is_some()
    }

    /// The precision that layers are loaded for.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The same tensors for another precision: some layers stay in f32 whatever the user chose.
    pub fn with_precision(&self, precision: Precision) -> Self {
        Self { precision, ..self.clone() }
    }

    /// Whether the checkpoint has the tensor.
    pub fn contains(&self, name: &str) -> bool {
        self.weights.contains(&self.name(name))
    }

    /// A tensor as it lies in the file: to use some of its rows alone, or none because the model does not need it. All of it is
    /// looked at nevertheless: a NaN says that the file is damaged, wherever it is.
    pub fn view(&self, name: &str, shape: &[usize]) -> Result<TensorView<'a>> {
        let view = self.tensor_view(&self.name(name), shape)?;
        self.check_finite(&view)?;
        Ok(view)
    }

    fn tensor_view(&self, full: &str, shape: &[usize]) -> Result<TensorView<'a>> {
        if self.is_dry() { self.weights.outline(full, shape) } else { self.weights.tensor(full, shape) }
    }

    fn check_finite(&self, view: &TensorView) -> Result<()> {
        if self.is_dry() || self.trusting { Ok(()) } else { view.check_finite() }
    }

    /// A tensor's values on the host.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let view = self.tensor_view(&self.name(name), shape)?;
        if self.is_dry() { Ok(vec![0.0; shape.iter().product()]) } else { view.to_f32() }
    }

    /// A tensor in f32: biases, norms, tables.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.upload(name, shape, &self.values(name, shape)?)
    }

    /// Host values as a tensor in f32 that lives as long as a weight; `name` is for error messages.
    pub fn upload(&self, name: &str, shape: &[usize], values: &[f32]) -> Result<Tensor> {
        self.sink.upload(&self.name(name), shape, DType::F32, bytemuck::cast_slice(values))
    }

    /// A matrix [rows, cols]: any tensor of that many elements whose first axis is `rows`, given by its whole shape. Quantised ones stay as
    /// they are stored, unless their rows are no whole blocks or LoRAs change them in more than low rank.
    pub fn matrix(&self, name: &str, shape: &[usize]) -> Result<Matrix> {
        let full = self.name(name);
        let (rows, cols) = (shape[0], shape[1..].iter().product());
        let quantized = self.weights.quantized(&full, shape, !self.is_dry())?;
        if let Some(quantized) = quantized.filter(|quantized| is_expandable(quantized.encoding, cols)) {
            let is_known = self.is_dry() || self.trusting;
            if !is_known && quantized.may_be_infinite() {
                // To say which number is, or that none is.
                self.weights.tensor(&full, shape)?.check_finite()?;
            }
            return Matrix::upload_quantized(self.sink, &full, [rows, cols], &quantized, self.precision.operand());
        }
        let view = self.tensor_view(&full, shape)?;
        let keep = match view.dtype {
            DType::F32 => self.precision == Precision::F32,
            DType::F16 | DType::Bf16 => cols % 4 == 0,
        };
        if keep {
            self.check_finite(&view)?;
            return Matrix::upload(self.sink, &full, [rows, cols], view.dtype, &view.bytes);
        }
        let dtype = operand_dtype(self.precision.operand(), cols);
        match view.bytes.get(..rows * cols * dtype.bytes() as usize).filter(|_| self.is_dry()) {
            // Any bytes will do, and there are gigabytes of them.
            Some(bytes) => Matrix::upload(self.sink, &full, [rows, cols], dtype, bytes),
            None => self.matrix_from(name, [rows, cols], &if self.is_dry() { vec![0.0; rows * cols] } else { view.to_f32()? }),
        }
    }

    /// Host values as a matrix in the loader's precision.
    pub fn matrix_from(&self, name: &str, shape: [usize; 2], values: &[f32]) -> Result<Matrix> {
        let full = self.name(name);
        match operand_dtype(self.precision.operand(), shape[1]) {
            DType::F32 => Matrix::upload(self.sink, &full, shape, DType::F32, bytemuck::cast_slice(values)),
            _ => {
                let halves = if self.is_dry() { vec![half::f16::ZERO; values.len()] } else { to_f16(values) };
                Matrix::upload(self.sink, &full, shape, DType::F16, bytemuck::cast_slice(&halves))
            }
        }
    }

    /// A convolution's weight [out, in, time, height, width]; missing leading extents of the checkpoint's shape count as 1.
    pub fn conv(&self, name: &str, shape: &[usize]) -> Result<ConvWeight> {
        self.conv_from(name, shape, &self.values(name, shape)?)
    }

    /// Host values as a convolution's weight.
    pub fn conv_from(&self, name: &str, shape: &[usize], values: &[f32]) -> Result<ConvWeight> {
        let mut full = [shape[0], shape[1], 1, 1, 1];
        let extents = &shape[2..];
        full[5 - extents.len()..].copy_from_slice(extents);
        ConvWeight::upload(self.sink, &self.name(name), full, values, self.precision.operand())
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}
