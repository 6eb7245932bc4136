//! Stored elements to f32, and scattered ones to dense ones.

use half::{bf16, f16};

use super::encoding::Encoding;
use crate::dtype::DType;

/// Elements of any encoding as f32. Integers and doubles are rounded to the nearest.
pub(super) fn decode(encoding: Encoding, bytes: &[u8]) -> Vec<f32> {
    match encoding {
        Encoding::Float(DType::F32) => map(bytes, f32::from_le_bytes),
        Encoding::Float(DType::F16) => map(bytes, |word| f16::from_le_bytes(word).to_f32()),
        Encoding::Float(DType::Bf16) => map(bytes, |word| bf16::from_le_bytes(word).to_f32()),
        Encoding::F64 => map(bytes, |word| f64::from_le_bytes(word) as f32),
        Encoding::I64 => map(bytes, |word| i64::from_le_bytes(word) as f32),
        Encoding::I32 => map(bytes, |word| i32::from_le_bytes(word) as f32),
        Encoding::I16 => map(bytes, |word| f32::from(i16::from_le_bytes(word))),
        Encoding::I8 => map(bytes, |word| f32::from(i8::from_le_bytes(word))),
        Encoding::U8 | Encoding::Bool => map(bytes, |[byte]| f32::from(byte)),
        Encoding::F8E4M3 => map(bytes, |[byte]| e4m3(byte)),
        Encoding::F8E5M2 => map(bytes, |[byte]| f16::from_le_bytes([0, byte]).to_f32()),
        Encoding::Block(block) => block.dequantize(bytes),
    }
}

fn map<const N: usize>(bytes: &[u8], convert: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let (words, _) = bytes.as_chunks::<N>();
    words.iter().map(|&word| convert(word)).collect()
}

/// One sign, four exponent and three mantissa bits; all ones is NaN, there is no infinity.
fn e4m3(byte: u8) -> f32 {
    let (exponent, mantissa) = (i32::from(byte >> 3 & 15), f32::from(byte & 7));
    let magnitude = match byte & 0x7f {
        0x7f => f32::NAN,
        0..8 => mantissa * 2f32.powi(-9),
        _ => (1.0 + mantissa / 8.0) * 2f32.powi(exponent - 7),
    };
    if byte & 0x80 == 0 { magnitude } else { -magnitude }
}

/// The elements of a tensor that lie `strides` apart, each of `width` bytes, brought together.
pub(super) fn gather(bytes: &[u8], shape: &[usize], strides: &[usize], width: usize) -> Vec<u8> {
    let elements: usize = shape.iter().product();
    let mut dense = Vec::with_capacity(elements * width);
    let mut place = vec![0; shape.len()];
    for _ in 0..elements {
        let at = place.iter().zip(strides).map(|(index, stride)| index * stride).sum::<usize>() * width;
        dense.extend_from_slice(&bytes[at..at + width]);
        for (index, &dim) in place.iter_mut().zip(shape).rev() {
            *index += 1;
            if *index < dim {
                break;
            }
            *index = 0;
        }
    }
    dense
}
