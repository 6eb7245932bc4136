//! Element types of tensors, on disk and on the GPU.

use std::fmt;

use half::{bf16, f16};

/// How one number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE single precision.
    F32,
    /// IEEE half precision; on the GPU two to a 32-bit word, so that no adapter needs 16-bit support.
    F16,
    /// The upper half of a single; two to a 32-bit word on the GPU.
    Bf16,
}

impl DType {
    /// Bytes of one element.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// The nearest numbers that there are in this form, little-endian.
    pub(crate) fn store(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => bytemuck::cast_slice(values).to_vec(),
            Self::F16 => bytemuck::cast_slice(&to_f16(values)).to_vec(),
            Self::Bf16 => values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect(),
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}

/// The nearest halves; what lies beyond them becomes the largest one.
pub(crate) fn to_f16(values: &[f32]) -> Vec<f16> {
    values.iter().map(|&value| f16::from_f32(value.clamp(-65504.0, 65504.0))).collect()
}
