//! From a checkpoint to the GPU, tensor by tensor, with the precision decided in one place.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{AdapterSummary, Device, Sink, Tensor, arena::bytes_of, arena::largest_buffer, sink::Nowhere};
use crate::layers::schema::Schema;
use crate::ops::{conv::weight::ConvWeight, conv::weight::ReadValues, dequantize::can_dequantize, matrix::Matrix, operand_dtype};
use crate::weights::{checkpoint::Weights, claim::Claim};

/// In which precision operands of matrix products and attention are stored. Sums, norms, softmax, modulation and the residual
/// stream are f32 in all of them.
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
    /// As `F16`, but matrix products of the transformer's blocks are in 8 bits: each 32 numbers of a row, of activations as of weights, become whole
    /// steps of 1/127 of the largest among them just before they are multiplied. For GPUs without cooperative matrices whose vector units
    /// multiply and add four bytes at once, such as AMD's RDNA 2, NVIDIA's Pascal and Intel's Xe, and for DX12; it is refused where they do not,
    /// as by Metal. Attention stays in f16, and so do products that are added to the tokens, whose rounding would reach the result unlessened.
    Int8,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        })
    }
}

crate::as_text::as_text!(Precision);

impl FromStr for Precision {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            "int8" => Ok(Self::Int8),
            _ => Err(Error::Input(format!("unknown precision `{name}`: choose f32, f16 or int8"))),
        }
    }
}

impl Precision {
    /// How activations that only feed a product are stored.
    #[doc(hidden)]
    pub fn operand(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 | Self::Int8 => DType::F16,
        }
    }

    /// Refuses what the device would only do in a roundabout way, slower than anything else.
    pub(crate) fn check(self, device: &Device) -> Result<()> {
        self.check_for(device.adapter(), device.has_byte_products())
    }

    fn check_for(self, adapter: &AdapterSummary, byte_products: bool) -> Result<()> {
        if self != Self::Int8 || byte_products {
            return Ok(());
        }
        Err(Error::Unsupported(format!(
            "precision int8 on {adapter}: it does not multiply four bytes at once (VK_KHR_shader_integer_dot_product of Vulkan, shader model 6.4 of \
             DX12); choose f16"
        )))
    }

    /// For products that are never in 8 bits.
    pub(crate) fn of_floats(self) -> Self {
        if self == Self::Int8 { Self::F16 } else { self }
    }
}

/// Uploads tensors of one checkpoint whose names begin with a prefix.
#[derive(Clone, Debug)]
pub struct Loader<'a> {
    sink: &'a dyn Sink,
    weights: Option<&'a Weights>,
    schema: Option<&'a Schema>,
    prefix: String,
    precision: Precision,
    trusting: bool,
}

impl<'a> Loader<'a> {
    /// Names without a prefix.
    pub fn new(sink: &'a dyn Sink, weights: &'a Weights, precision: Precision) -> Self {
        Self { sink, weights: Some(weights), schema: None, prefix: String::new(), precision, trusting: false }
    }

    /// Notes what a model asks for, and gives it all of that, whatever a checkpoint has. Where there is one, it says which of the tensors that
    /// a model can do without are there.
    pub fn recording(schema: &'a Schema, weights: Option<&'a Weights>) -> Self {
        let prefix = String::new();
        Self { sink: &Nowhere, weights, schema: Some(schema), prefix, precision: Precision::F16, trusting: false }
    }

    /// Does not look for NaN: for tensors that were loaded before.
    pub fn trusting(self) -> Self {
        Self { trusting: true, ..self }
    }

    /// Looks at names and shapes alone: for layers that a model has and does not need.
    pub fn unread(&self) -> Self {
        Self { sink: &Nowhere, ..self.clone() }
    }

    /// Names within `name`, as in `blocks.3`.
    pub fn scope(&self, name: impl std::fmt::Display) -> Self {
        Self { prefix: format!("{}{name}.", self.prefix), ..self.clone() }
    }

    /// Bytes that a tensor on the GPU may have at most.
    pub fn largest_buffer(&self) -> u64 {
        self.sink.device().map_or(u64::MAX, |device| largest_buffer(&device))
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
        self.weights.is_some_and(|weights| weights.contains(&self.name(name)))
    }

    /// A tensor to be read when it is needed; none where a model's needs are recorded.
    ///
    /// # Errors
    /// [`Error::Weights`] where it is missing or has another shape.
    pub fn claim(&self, name: &str, shape: &[usize]) -> Result<Option<Claim<'a>>> {
        self.claim_as(name, shape, false)
    }

    fn claim_as(&self, name: &str, shape: &[usize], is_operand: bool) -> Result<Option<Claim<'a>>> {
        match self.schema {
            Some(schema) => schema.add(self.name(name), shape, is_operand).map(|()| None),
            None => self.weights.map(|weights| weights.claim(&self.name(name), shape)).transpose(),
        }
    }

    /// A tensor's values, to be read when they are needed.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<impl Fn() -> Result<Vec<f32>> + Copy + use<'a>> {
        let claim = self.claim(name, shape)?;
        Ok(move || claim.map_or(Ok(Vec::new()), |claim| claim.read()?.to_f32()))
    }

    /// A tensor in f32: biases, norms, tables.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.upload(name, shape, &self.values(name, shape)?)
    }

    /// Host values as a tensor in f32 that lives as long as a weight; `name` is for error messages.
    pub fn upload(&self, name: &str, shape: &[usize], read: &ReadValues) -> Result<Tensor> {
        let read = || Ok(DType::F32.store(&read()?).into());
        self.sink.read(&self.name(name), shape, DType::F32, bytes_of(shape, DType::F32)?, &read)
    }

    /// A matrix [rows, cols]: any tensor of that many elements whose first axis is `rows`, given by its whole shape. Quantised ones stay as
    /// they are stored, unless their rows are no whole blocks or LoRAs change them in more than low rank.
    pub fn matrix(&self, name: &str, shape: &[usize]) -> Result<Matrix> {
        let operand = self.precision.operand();
        let claim = self.claim_as(name, shape, operand == DType::F16)?;
        let (full, size) = (self.name(name), [shape[0], shape[1..].iter().product()]);
        let Some(claim) = claim else {
            return Matrix::upload(self.sink, &full, size, operand_dtype(operand, size[1]), &|| Ok(Cow::default()));
        };
        let check = || if self.trusting { Ok(()) } else { claim.check_finite() };
        if let Some(form) = claim.form().filter(|form| can_dequantize(form.encoding, size[1])) {
            let read = || check().and_then(|()| claim.read_quantized());
            return Matrix::upload_quantized(self.sink, &full, size, form, operand, &read);
        }
        let keep = match claim.dtype() {
            DType::F32 => operand == DType::F32,
            DType::F16 | DType::Bf16 => size[1].is_multiple_of(4),
        };
        match keep {
            true => Matrix::upload(self.sink, &full, size, claim.dtype(), &|| check().and_then(|()| Ok(claim.read()?.bytes))),
            false => self.matrix_from(name, size, &|| claim.read()?.to_f32()),
        }
    }

    /// Host values as a matrix in the loader's precision.
    pub fn matrix_from(&self, name: &str, shape: [usize; 2], read: &ReadValues) -> Result<Matrix> {
        let dtype = operand_dtype(self.precision.operand(), shape[1]);
        Matrix::upload(self.sink, &self.name(name), shape, dtype, &|| Ok(dtype.store(&read()?).into()))
    }

    /// A convolution's weight [out, in, time, height, width]; missing leading extents of the checkpoint's shape count as 1.
    pub fn conv(&self, name: &str, shape: &[usize]) -> Result<ConvWeight> {
        self.conv_from(name, shape, &self.values(name, shape)?)
    }

    /// Host values as a convolution's weight.
    pub fn conv_from(&self, name: &str, shape: &[usize], read: &ReadValues) -> Result<ConvWeight> {
        let mut full = [shape[0], shape[1], 1, 1, 1];
        let extents = &shape[2..];
        full[5 - extents.len()..].copy_from_slice(extents);
        ConvWeight::upload(self.sink, &self.name(name), full, self.precision.operand(), read)
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn int8_needs_products_of_bytes() {
        let adapter = AdapterSummary { name: "M4".into(), backend: "Metal".into(), kind: "IntegratedGpu".into(), driver: String::new() };
        let said = Precision::Int8.check_for(&adapter, false).expect_err("refused").to_string();
        assert!(said.contains("int8") && said.contains("M4"), "{said}");
        assert!(Precision::Int8.check_for(&adapter, true).is_ok());
        assert!([Precision::F32, Precision::F16].into_iter().all(|precision| precision.check_for(&adapter, false).is_ok()));
    }
}
