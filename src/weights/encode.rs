//! f32 to the forms that checkpoints are saved in: the other way from [`decode`](super::decode).

use half::{bf16, f16};

use super::{blocks::BlockFormat, encoding::Encoding};
use crate::dtype::DType;

/// The largest e4m3 number.
const E4M3_MAX: f32 = 448.0;

/// Numbers in another form, each the nearest that it has, ties to even. Blocks must be whole; e4m3 is for numbers up to 448 in magnitude.
///
/// # Panics
/// For a form that [`Storage`](super::Storage) saves nothing in.
pub(super) fn encode(encoding: Encoding, values: &[f32]) -> Vec<u8> {
    match encoding {
        Encoding::Float(DType::F32) => map(values, f32::to_le_bytes),
        Encoding::Float(DType::F16) => map(values, |value| f16::from_f32(value).to_le_bytes()),
        Encoding::Float(DType::Bf16) => map(values, |value| bf16::from_f32(value).to_le_bytes()),
        Encoding::F8E4M3 => map(values, |value| [e4m3(value)]),
        Encoding::Block(BlockFormat::Q8_0) => values.chunks_exact(BlockFormat::Q8_0.elements()).flat_map(q8_0).collect(),
        _ => unreachable!("nothing is saved as {encoding}"),
    }
}

fn map<const N: usize>(values: &[f32], convert: impl Fn(f32) -> [u8; N]) -> Vec<u8> {
    values.iter().map(|&value| convert(value)).collect::<Vec<_>>().into_flattened()
}

/// The power of two that numbers up to `largest` are divided by before they become e4m3, so that all of its range is used. Being a power of two
/// it costs no precision, and what was e4m3 before stays what it was.
pub(super) fn e4m3_scale(largest: f32) -> f32 {
    if largest == 0.0 {
        return 1.0;
    }
    let mut scale = exponent(largest / E4M3_MAX);
    if largest / scale > E4M3_MAX {
        scale *= 2.0;
    }
    scale
}

/// The power of two at or below a positive number; no less than the least normal one.
fn exponent(value: f32) -> f32 {
    f32::from_bits(value.to_bits() & 0x7f80_0000).max(f32::MIN_POSITIVE)
}

/// One sign, four exponent and three mantissa bits.
fn e4m3(value: f32) -> u8 {
    // The distance of neighbours: an eighth of the power of two below, but not of those below the least normal number, 2^-6.
    let power = exponent(value.abs()).max(1.0 / 64.0);
    let steps = (value.abs() / power * 8.0).round_ties_even() as u8;
    // From 8 steps on the power counts; 16 steps are 8 of the next power.
    let powers = (power.to_bits() >> 23) as u8 - (127 - 6);
    (powers * 8 + steps) | if value.is_sign_negative() { 0x80 } else { 0 }
}

/// 32 signed bytes, and before them what they are to be multiplied with: the largest becomes 127.
fn q8_0(values: &[f32]) -> [u8; 34] {
    let largest = values.iter().fold(0f32, |most, value| most.max(value.abs()));
    let scale = f16::from_f32(largest / 127.0);
    let factor = if scale == f16::ZERO { 0.0 } else { 1.0 / scale.to_f32() };
    let mut block = [0; 34];
    block[..2].copy_from_slice(&scale.to_le_bytes());
    for (code, value) in block[2..].iter_mut().zip(values) {
        // The scale may have been rounded down.
        *code = (value * factor).round_ties_even().clamp(-127.0, 127.0) as i8 as u8;
    }
    block
}
