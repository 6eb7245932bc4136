//! Element types of ONNX files.

use half::{bf16, f16};

use super::value::{Data, Kind};

/// How an element is stored in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    F32,
    F16,
    Bf16,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
}

/// ONNX's numbers of the types that are read.
const NUMBERS: [(i64, Element); 13] = [
    (1, Element::F32),
    (2, Element::U8),
    (3, Element::I8),
    (4, Element::U16),
    (5, Element::I16),
    (6, Element::I32),
    (7, Element::I64),
    (9, Element::Bool),
    (10, Element::F16),
    (11, Element::F64),
    (12, Element::U32),
    (13, Element::U64),
    (16, Element::Bf16),
];

const UNSUPPORTED: [(i64, &str); 13] = [
    (0, "no type"),
    (8, "text"),
    (14, "complex64"),
    (15, "complex128"),
    (17, "float8e4m3fn"),
    (18, "float8e4m3fnuz"),
    (19, "float8e5m2"),
    (20, "float8e5m2fnuz"),
    (21, "uint4"),
    (22, "int4"),
    (23, "float4e2m1"),
    (24, "float8e8m0"),
    (25, "uint2"),
];

impl Element {
    /// The type of this number in ONNX, or what it is called.
    pub(super) fn new(number: i64) -> Result<Self, String> {
        let known = NUMBERS.iter().find(|(known, _)| *known == number).map(|&(_, element)| element);
        known.ok_or_else(|| {
            let name = UNSUPPORTED.iter().find(|(known, _)| *known == number).map(|(_, name)| *name);
            name.map_or_else(|| format!("the unknown element type {number}"), |name| format!("elements of {name}"))
        })
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    pub(super) fn kind(self) -> Kind {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 | Self::F64 => Kind::F32,
            Self::Bool => Kind::Bool,
            _ => Kind::I64,
        }
    }

    /// Elements from their little-endian bytes.
    pub(super) fn decode(self, bytes: &[u8]) -> Data {
        match self {
            Self::F32 => Data::F32(bytes.as_chunks().0.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect()),
            Self::F16 => Data::F32(bytes.as_chunks().0.iter().map(|&chunk| f16::from_le_bytes(chunk).to_f32()).collect()),
            Self::Bf16 => Data::F32(bytes.as_chunks().0.iter().map(|&chunk| bf16::from_le_bytes(chunk).to_f32()).collect()),
            Self::F64 => Data::F32(bytes.as_chunks().0.iter().map(|&chunk| f64::from_le_bytes(chunk) as f32).collect()),
            Self::I8 => Data::I64(bytes.iter().map(|&byte| i64::from(byte as i8)).collect()),
            Self::U8 => Data::I64(bytes.iter().map(|&byte| i64::from(byte)).collect()),
            Self::I16 => Data::I64(bytes.as_chunks().0.iter().map(|&chunk| i16::from_le_bytes(chunk).into()).collect()),
            Self::U16 => Data::I64(bytes.as_chunks().0.iter().map(|&chunk| u16::from_le_bytes(chunk).into()).collect()),
            Self::I32 => Data::I64(bytes.as_chunks().0.iter().map(|&chunk| i32::from_le_bytes(chunk).into()).collect()),
            Self::U32 => Data::I64(bytes.as_chunks().0.iter().map(|&chunk| u32::from_le_bytes(chunk).into()).collect()),
            Self::I64 => Data::I64(bytes.as_chunks().0.iter().map(|&chunk| i64::from_le_bytes(chunk)).collect()),
            Self::U64 => Data::I64(bytes.as_chunks().0.iter().map(|&chunk| u64::from_le_bytes(chunk) as i64).collect()),
            Self::Bool => Data::Bool(bytes.iter().map(|&byte| byte != 0).collect()),
        }
    }

    /// Elements from the whole numbers that a file may have in their place: of 16-bit floating-point types their bits.
    pub(super) fn of_ints(self, ints: Vec<i64>) -> Data {
        match self {
            Self::F16 => Data::F32(ints.iter().map(|&bits| f16::from_bits(bits as u16).to_f32()).collect()),
            Self::Bf16 => Data::F32(ints.iter().map(|&bits| bf16::from_bits(bits as u16).to_f32()).collect()),
            Self::F32 | Self::F64 => Data::F32(ints.iter().map(|&value| value as f32).collect()),
            Self::Bool => Data::Bool(ints.iter().map(|&value| value != 0).collect()),
            _ => Data::I64(ints.iter().map(|&value| self.wrap(value)).collect()),
        }
    }

    /// What is left of a whole number in an integer type.
    fn wrap(self, value: i64) -> i64 {
        match self {
            Self::I8 => i64::from(value as i8),
            Self::U8 => i64::from(value as u8),
            Self::I16 => i64::from(value as i16),
            Self::U16 => i64::from(value as u16),
            Self::I32 => i64::from(value as i32),
            Self::U32 => i64::from(value as u32),
            _ => value,
        }
    }

    /// What is left of a number in a floating-point type.
    fn round(self, value: f32) -> f32 {
        match self {
            Self::F16 => f16::from_f32(value).to_f32(),
            Self::Bf16 => bf16::from_f32(value).to_f32(),
            _ => value,
        }
    }

    /// Elements as they are after a conversion to this type.
    pub(super) fn cast(self, data: &Data) -> Data {
        match (self.kind(), data) {
            (Kind::F32, Data::F32(from)) => Data::F32(from.iter().map(|&value| self.round(value)).collect()),
            (Kind::F32, Data::I64(from)) => Data::F32(from.iter().map(|&value| self.round(value as f32)).collect()),
            (Kind::F32, Data::Bool(from)) => Data::F32(from.iter().map(|&value| f32::from(u8::from(value))).collect()),
            (Kind::I64, Data::F32(from)) => Data::I64(from.iter().map(|&value| self.wrap(value as i64)).collect()),
            (Kind::I64, Data::I64(from)) => Data::I64(from.iter().map(|&value| self.wrap(value)).collect()),
            (Kind::I64, Data::Bool(from)) => Data::I64(from.iter().map(|&value| value.into()).collect()),
            (Kind::Bool, Data::F32(from)) => Data::Bool(from.iter().map(|&value| value != 0.0).collect()),
            (Kind::Bool, Data::I64(from)) => Data::Bool(from.iter().map(|&value| value != 0).collect()),
            (Kind::Bool, Data::Bool(from)) => Data::Bool(from.clone()),
        }
    }
}
