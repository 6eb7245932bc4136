//! How the numbers of a checkpoint are stored on disk: more ways than the GPU computes with.

use std::fmt;

use crate::DType;

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
}

impl Encoding {
    /// Every encoding with the name that safetensors headers give it.
    const NAMED: [(&str, Self); 10] = [
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
    ];

    /// The encoding that a safetensors header calls `name`, or `None` for one this crate does not read.
    pub fn from_safetensors(name: &str) -> Option<Self> {
        Self::NAMED.iter().find(|(known, _)| *known == name).map(|&(_, encoding)| encoding)
    }

    /// What a safetensors header calls this encoding.
    pub fn safetensors_name(self) -> &'static str {
        Self::NAMED.iter().find(|(_, encoding)| *encoding == self).map_or("", |&(name, _)| name)
    }

    /// Bytes that `elements` numbers take, or `None` where that overflows.
    pub fn bytes(self, elements: u64) -> Option<u64> {
        let width = match self {
            Self::Float(dtype) => dtype.bytes(),
            Self::F64 | Self::I64 => 8,
            Self::I32 => 4,
            Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
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
        f.write_str(&self.safetensors_name().to_lowercase())
    }
}
