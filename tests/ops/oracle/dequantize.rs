//! BlockFormat by block and in the order of ggml's own loops, where the kernel goes from a number to its bits.

use half::f16;
use wan_animate::unversioned::weights::{BlockFormat, Encoding};

/// The numbers that bytes stand for, exactly.
pub fn dequantize(encoding: Encoding, bytes: &[u8]) -> Vec<f64> {
    match encoding {
        Encoding::F8E4M3 => bytes.iter().map(|&code| float(code, 4, 3)).collect(),
        Encoding::F8E5M2 => bytes.iter().map(|&code| float(code, 5, 2)).collect(),
        Encoding::I8 => bytes.iter().map(|&code| f64::from(code as i8)).collect(),
        Encoding::Block(block) => bytes.chunks_exact(block.bytes()).flat_map(|bytes| dequantize_block(block, bytes)).collect(),
        _ => panic!("not quantised"),
    }
}

fn float(code: u8, exponent_bits: i32, mantissa_bits: i32) -> f64 {
    let sign = if code > 127 { -1.0 } else { 1.0 };
    let (exponent, mantissa) = (i32::from(code & 127) >> mantissa_bits, i32::from(code) & ((1 << mantissa_bits) - 1));
    let hidden = if exponent > 0 { 1 << mantissa_bits } else { 0 };
    let bias = (1 << (exponent_bits - 1)) - 1;
    sign * f64::from(hidden + mantissa) * 2f64.powi(exponent.max(1) - bias - mantissa_bits)
}

fn half(bytes: &[u8], at: usize) -> f64 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f64()
}

fn dequantize_block(block: BlockFormat, b: &[u8]) -> Vec<f64> {
    let mut out = vec![0.0; block.elements()];
    let table = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113].map(f64::from);
    match block {
        BlockFormat::Q4_0 | BlockFormat::Iq4Nl => (0..16).for_each(|j| {
            let value = |q: u8| if block == BlockFormat::Q4_0 { f64::from(q) - 8.0 } else { table[usize::from(q)] };
            (out[j], out[j + 16]) = (half(b, 0) * value(b[2 + j] & 15), half(b, 0) * value(b[2 + j] >> 4));
        }),
        BlockFormat::Q4_1 => (0..16).for_each(|j| {
            let value = |q: u8| f64::from(q) * half(b, 0) + half(b, 2);
            (out[j], out[j + 16]) = (value(b[4 + j] & 15), value(b[4 + j] >> 4));
        }),
        BlockFormat::Q5_0 | BlockFormat::Q5_1 => (0..16).for_each(|j| {
            let (at, minimum) = if block == BlockFormat::Q5_0 { (2, -16.0 * half(b, 0)) } else { (4, half(b, 2)) };
            let high = u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
            let value = |q: u8, bit: u32| f64::from(u32::from(q) + 16 * bit) * half(b, 0) + minimum;
            out[j] = value(b[at + 4 + j] & 15, (high >> j) & 1);
            out[j + 16] = value(b[at + 4 + j] >> 4, (high >> (j + 16)) & 1);
        }),
        BlockFormat::Q8_0 => (0..32).for_each(|j| out[j] = half(b, 0) * f64::from(b[2 + j] as i8)),
        BlockFormat::Q2K => (0..16).for_each(|group| {
            let scale = (half(b, 80) * f64::from(b[group] & 15), half(b, 82) * f64::from(b[group] >> 4));
            for l in 0..16 {
                let q = (b[16 + group / 8 * 32 + group % 2 * 16 + l] >> (group % 8 / 2 * 2)) & 3;
                out[group * 16 + l] = scale.0 * f64::from(q) - scale.1;
            }
        }),
        BlockFormat::Q3K => (0..16).for_each(|group| {
            // The scales' low halves are those of eight bytes, then their high ones; of four bytes each pair of bits goes to four groups.
            let low = if group < 8 { b[96 + group] & 15 } else { b[96 + group - 8] >> 4 };
            let scale = f64::from(low + 16 * ((b[104 + group % 4] >> (2 * (group / 4))) & 3)) - 32.0;
            for l in 0..16 {
                let low = (b[32 + group / 8 * 32 + group % 2 * 16 + l] >> (group % 8 / 2 * 2)) & 3;
                let high = (b[group % 2 * 16 + l] >> (group / 2)) & 1;
                out[group * 16 + l] = half(b, 108) * scale * (f64::from(low) - if high == 1 { 0.0 } else { 4.0 });
            }
        }),
        BlockFormat::Q4K | BlockFormat::Q5K => (0..8).for_each(|group| {
            let s = &b[4..16];
            let (scale, minimum) = match group {
                0..4 => (s[group] % 64, s[group + 4] % 64),
                _ => (s[group + 4] % 16 + s[group - 4] / 64 * 16, s[group + 4] / 16 + s[group] / 64 * 16),
            };
            for l in 0..32 {
                let (low, high) = if block == BlockFormat::Q4K { (16, 0) } else { (48, (b[16 + l] >> group) & 1) };
                let q = (b[low + group / 2 * 32 + l] >> (4 * (group % 2))) & 15;
                out[group * 32 + l] = half(b, 0) * f64::from(scale) * f64::from(q + 16 * high) - half(b, 2) * f64::from(minimum);
            }
        }),
        BlockFormat::Q6K => (0..2).for_each(|n| {
            for l in 0..32 {
                let (low, high) = (&b[64 * n..], b[128 + 32 * n + l]);
                let q = [low[l] & 15, low[l + 32] & 15, low[l] >> 4, low[l + 32] >> 4];
                for (k, q) in q.into_iter().enumerate() {
                    let q = f64::from(q | ((high >> (2 * k)) & 3) << 4) - 32.0;
                    out[128 * n + 32 * k + l] = half(b, 208) * f64::from(b[192 + 8 * n + 2 * k + l / 16] as i8) * q;
                }
            }
        }),
        BlockFormat::Iq4Xs => (0..8).for_each(|group| {
            let low = if group % 2 == 0 { b[4 + group / 2] & 15 } else { b[4 + group / 2] >> 4 };
            let high = (u16::from_le_bytes([b[2], b[3]]) >> (2 * group)) & 3;
            let scale = half(b, 0) * (f64::from(u16::from(low) | high << 4) - 32.0);
            for l in 0..16 {
                let byte = b[8 + 16 * group + l];
                out[32 * group + l] = scale * table[usize::from(byte & 15)];
                out[32 * group + 16 + l] = scale * table[usize::from(byte >> 4)];
            }
        }),
    }
    out
}
