//! The forms that checkpoints are saved in, and which tensors each applies to.

use std::fmt;
use std::str::FromStr;

use super::{blocks::BlockFormat, encoding::Encoding, stored::Stored};
use crate::dtype::DType;
use crate::error::{Error, Result};

/// How the numbers of a checkpoint are saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Storage {
    /// The upper half of a single: 8 bits of precision, the range of f32.
    #[default]
    Bf16,
    /// IEEE half precision: 11 bits of precision, up to 65504.
    F16,
    /// IEEE single precision.
    F32,
    /// Matrices of the repeated blocks as 8-bit floats (e4m3) with one scale each, a power of two: half a step of error is 1/16 of a number, and of
    /// the smallest ones 2^-17 of the matrix's largest. All else keeps its float type.
    Fp8,
    /// The same matrices, where rows are multiples of 32, as GGUF's blocks of 32 signed bytes with one scale: an error of 1/254 of a block's largest
    /// number. All else keeps its float type. The file is GGUF.
    Q8_0,
}

impl Storage {
    const NAMES: [(Self, &str); 5] =
        [(Self::Bf16, "bf16"), (Self::F16, "f16"), (Self::F32, "f32"), (Self::Fp8, "fp8"), (Self::Q8_0, "q8_0")];

    /// Whether tensors of this encoding are no weights, and are saved as they are: positions, a vocabulary's file.
    pub(super) fn is_kept(encoding: Encoding) -> bool {
        matches!(encoding, Encoding::I64 | Encoding::I32 | Encoding::U8 | Encoding::Bool)
    }

    /// What a tensor becomes, which may be one of the matrices that quantised forms are for.
    pub(super) fn encoding(self, tensor: &Stored, is_matrix: bool) -> Encoding {
        let encoding = tensor.info.encoding;
        match (self, encoding) {
            // GGUF has signed bytes alone; of texts and positions bytes alone count.
            (Self::Q8_0, Encoding::U8 | Encoding::Bool) => Encoding::I8,
            _ if Self::is_kept(encoding) => encoding,
            (Self::Bf16, _) => DType::Bf16.into(),
            (Self::F16, _) => DType::F16.into(),
            (Self::F32, _) => DType::F32.into(),
            (Self::Fp8, _) if is_matrix => Encoding::F8E4M3,
            (Self::Q8_0, _) if is_matrix && tensor.info.shape[1].is_multiple_of(32) => Encoding::Block(BlockFormat::Q8_0),
            (_, Encoding::Float(dtype)) if tensor.scale.is_none() => dtype.into(),
            _ => DType::F32.into(),
        }
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(Self::NAMES.iter().find(|(storage, _)| storage == self).map_or("", |(_, name)| name))
    }
}

crate::as_text::as_text!(Storage);

impl FromStr for Storage {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = Self::NAMES.iter().find(|(_, known)| *known == name).map(|&(storage, _)| storage);
        let names = || Self::NAMES.map(|(_, name)| name).join(", ");
        known.ok_or_else(|| Error::Input(format!("unknown type `{name}`: choose one of {}", names())))
    }
}
