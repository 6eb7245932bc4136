//! How the numbers of a checkpoint are stored on disk: more ways than the GPU computes with.

use std::fmt;

use super::blocks::BlockFormat;
use crate::dtype::DType;

/// The stored form of a tensor's elements, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// One of the float types that models compute with.
    Float(DType),
    /// IEEE double precision.
    F64,
    /// Signed 64-bit integers.
    I64,
    /// Signed 32-bit integers.
    I32,
    /// Signed 16-bit integers.
    I16,
    /// Signed bytes.
    I8,
    /// Unsigned bytes.
    U8,
    /// Truth values, one a byte.
    Bool,
    /// Floats of 4 exponent and 3 mantissa bits, without infinities.
    F8E4M3,
    /// Floats of 5 exponent and 2 mantissa bits: the upper byte of an f16.
    F8E5M2,
    /// ggml's quantised blocks.
    Block(BlockFormat),
}

impl Encoding {
    /// The encodings that safetensors has, with the names that its headers give them.
    const NAMED: [(&str, Self); 12] = [
        ("F32", Self::Float(DType::F32)),
        ("F16", Self::Float(DType::F16)),
        ("BF16", Self::Float(DType::Bf16)),
        ("F64", Self::F64),
        ("I64", Self::I64),
        ("I32", Self::I32),
        ("I16", Self::I16),
        ("I8", Self::I8),
        ("U8", Self::U8),
        ("BOOL", Self::Bool),
        ("F8_E4M3", Self::F8E4M3),
        ("F8_E5M2", Self::F8E5M2),
    ];

    /// The encoding that a safetensors header calls `name`, or `None` for one this crate does not read.
    pub fn from_safetensors(name: &str) -> Option<Self> {
        Self::NAMED.iter().find(|(known, _)| *known == name).map(|&(_, encoding)| encoding)
    }

    /// What a safetensors header calls this encoding, or `None` where the format lacks it.
    pub fn safetensors_name(self) -> Option<&'static str> {
        Self::NAMED.iter().find(|(_, encoding)| *encoding == self).map(|&(name, _)| name)
    }

    /// The kind of its blocks, where it has them.
    pub fn block(self) -> Option<BlockFormat> {
        match self {
            Self::Block(block) => Some(block),
            _ => None,
        }
    }

    /// Bytes that `elements` numbers take, or `None` where that overflows or they are no whole blocks.
    pub fn bytes(self, elements: u64) -> Option<u64> {
        let width = match self {
            Self::Block(block) => {
                let whole = elements.is_multiple_of(block.elements() as u64);
                return whole.then(|| elements / block.elements() as u64)?.checked_mul(block.bytes() as u64);
            }
            Self::Float(dtype) => dtype.bytes(),
            Self::F64 | Self::I64 => 8,
            Self::I32 => 4,
            Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool | Self::F8E4M3 | Self::F8E5M2 => 1,
        };
        elements.checked_mul(width)
    }
}

impl From<DType> for Encoding {
    fn from(dtype: DType) -> Self {
        Self::Float(dtype)
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Block(block) => f.write_str(block.name()),
            _ => f.write_str(&self.safetensors_name().unwrap_or_default().to_lowercase()),
        }
    }
}
