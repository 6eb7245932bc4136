//! ggml's blocks of quantised numbers, dequantized on the host. A block holds small integers and the scales, and often minima, that they share.

use half::f16;

/// A kind of block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockFormat {
    /// 32 numbers of 4 bits around 8, one scale.
    Q4_0,
    /// 32 numbers of 4 bits, a scale and a minimum.
    Q4_1,
    /// 32 numbers of 5 bits around 16, one scale.
    Q5_0,
    /// 32 numbers of 5 bits, a scale and a minimum.
    Q5_1,
    /// 32 signed bytes, one scale.
    Q8_0,
    /// 256 numbers of 2 bits, a scale and a minimum of 4 bits for each 16.
    Q2K,
    /// 256 numbers of 3 bits, a scale of 6 bits for each 16.
    Q3K,
    /// 256 numbers of 4 bits, a scale and a minimum of 6 bits for each 32.
    Q4K,
    /// 256 numbers of 5 bits, a scale and a minimum of 6 bits for each 32.
    Q5K,
    /// 256 numbers of 6 bits, a scale of 8 bits for each 16.
    Q6K,
    /// 32 places of 4 bits in a table, one scale.
    Iq4Nl,
    /// 256 places of 4 bits in the same table, a scale of 6 bits for each 32.
    Iq4Xs,
}

/// The values of the 4-bit places of [`BlockFormat::Iq4Nl`] and [`BlockFormat::Iq4Xs`].
const PLACES: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// Writes the numbers of one block.
type Dequantize = fn(&[u8], &mut [f32]);

impl BlockFormat {
    /// All of them, by the numbers that `wgsl/dequantize.wgsl` has for them.
    pub const ALL: [Self; 12] = [
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q2K,
        Self::Q3K,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
        Self::Iq4Nl,
        Self::Iq4Xs,
    ];

    /// What ggml calls it, its number there, the numbers and the bytes of a block, where its f16 scales and minima lie, and how it is
    /// dequantized.
    const fn facts(self) -> (&'static str, u32, usize, usize, &'static [usize], Dequantize) {
        match self {
            Self::Q4_0 => ("q4_0", 2, 32, 18, &[0], q4_0),
            Self::Q4_1 => ("q4_1", 3, 32, 20, &[0, 2], q4_1),
            Self::Q5_0 => ("q5_0", 6, 32, 22, &[0], q5_0),
            Self::Q5_1 => ("q5_1", 7, 32, 24, &[0, 2], q5_1),
            Self::Q8_0 => ("q8_0", 8, 32, 34, &[0], q8_0),
            Self::Q2K => ("q2_k", 10, 256, 84, &[80, 82], q2_k),
            Self::Q3K => ("q3_k", 11, 256, 110, &[108], q3_k),
            Self::Q4K => ("q4_k", 12, 256, 144, &[0, 2], q4_k),
            Self::Q5K => ("q5_k", 13, 256, 176, &[0, 2], q5_k),
            Self::Q6K => ("q6_k", 14, 256, 210, &[208], q6_k),
            Self::Iq4Nl => ("iq4_nl", 20, 32, 18, &[0], iq4_nl),
            Self::Iq4Xs => ("iq4_xs", 23, 256, 136, &[0], iq4_xs),
        }
    }

    /// Numbers in a block.
    pub fn elements(self) -> usize {
        self.facts().2
    }

    /// Bytes of a block.
    pub fn bytes(self) -> usize {
        self.facts().3
    }

    /// Where its f16 scales and minima lie.
    pub fn scales_at(self) -> &'static [usize] {
        self.facts().4
    }

    /// The number of its type in GGUF files.
    pub fn ggml_type(self) -> u32 {
        self.facts().1
    }

    /// What ggml calls it.
    pub fn name(self) -> &'static str {
        self.facts().0
    }

    /// The numbers of whole blocks.
    pub(super) fn dequantize(self, bytes: &[u8]) -> Vec<f32> {
        let (_, _, elements, size, _, dequantize) = self.facts();
        let mut values = vec![0.0; bytes.len() / size * elements];
        for (block, out) in bytes.chunks_exact(size).zip(values.chunks_exact_mut(elements)) {
            dequantize(block, out);
        }
        values
    }
}

fn half(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

/// The 4-bit numbers of 16 bytes, low halves first.
fn nibbles(bytes: &[u8], value: impl Fn(u8, usize) -> f32, out: &mut [f32]) {
    let half = bytes.len();
    for (i, &byte) in bytes.iter().enumerate() {
        out[i] = value(byte & 15, i);
        out[i + half] = value(byte >> 4, i + half);
    }
}

fn q4_0(block: &[u8], out: &mut [f32]) {
    let d = half(block, 0);
    nibbles(&block[2..], |q, _| d * (f32::from(q) - 8.0), out);
}

fn q4_1(block: &[u8], out: &mut [f32]) {
    let (d, m) = (half(block, 0), half(block, 2));
    nibbles(&block[4..], |q, _| d * f32::from(q) + m, out);
}

fn q5_0(block: &[u8], out: &mut [f32]) {
    let d = half(block, 0);
    nibbles(&block[6..], |q, i| d * (f32::from(q | fifth_bit(&block[2..], i)) - 16.0), out);
}

fn q5_1(block: &[u8], out: &mut [f32]) {
    let (d, m) = (half(block, 0), half(block, 2));
    nibbles(&block[8..], |q, i| d * f32::from(q | fifth_bit(&block[4..], i)) + m, out);
}

fn fifth_bit(high: &[u8], i: usize) -> u8 {
    (high[i / 8] >> (i % 8) & 1) << 4
}

fn q8_0(block: &[u8], out: &mut [f32]) {
    let d = half(block, 0);
    for (out, &q) in out.iter_mut().zip(&block[2..]) {
        *out = d * f32::from(q as i8);
    }
}

fn q2_k(block: &[u8], out: &mut [f32]) {
    let (scales, q) = (&block[..16], &block[16..80]);
    let (d, m) = (half(block, 80), half(block, 82));
    for (i, out) in out.iter_mut().enumerate() {
        let (scale, q) = (scales[i / 16], two_bits(q, i));
        *out = d * f32::from(scale & 15) * f32::from(q) - m * f32::from(scale >> 4);
    }
}

/// Number `i` of 256: each 32 bytes hold 128 of them, 32 to each pair of bits.
fn two_bits(bytes: &[u8], i: usize) -> u8 {
    bytes[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3
}

fn q3_k(block: &[u8], out: &mut [f32]) {
    let (high, q, scales) = (&block[..32], &block[32..96], &block[96..108]);
    let d = half(block, 108);
    for (i, out) in out.iter_mut().enumerate() {
        let group = i / 16;
        let low = scales[group % 8] >> (group / 8 * 4) & 15;
        let scale = low | (scales[8 + group % 4] >> (group / 4 * 2) & 3) << 4;
        let q = two_bits(q, i) | (high[i % 32] >> (i / 32) & 1) << 2;
        *out = d * (f32::from(scale) - 32.0) * (f32::from(q) - 4.0);
    }
}

/// Scale and minimum of group `i` of eight, 6 bits each, from 12 bytes.
fn scale_and_minimum(bytes: &[u8], i: usize) -> (f32, f32) {
    let (scale, minimum) = if i < 4 {
        (bytes[i] & 63, bytes[i + 4] & 63)
    } else {
        (bytes[i + 4] & 15 | (bytes[i - 4] >> 6) << 4, bytes[i + 4] >> 4 | (bytes[i] >> 6) << 4)
    };
    (f32::from(scale), f32::from(minimum))
}

/// Number `i` of 256: each 32 bytes hold 64 of them, low halves first.
fn four_bits(bytes: &[u8], i: usize) -> u8 {
    bytes[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15
}

fn q4_k(block: &[u8], out: &mut [f32]) {
    let (d, m, q) = (half(block, 0), half(block, 2), &block[16..]);
    for (group, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, minimum) = scale_and_minimum(&block[4..16], group);
        for (i, out) in out.iter_mut().enumerate() {
            *out = d * scale * f32::from(four_bits(q, group * 32 + i)) - m * minimum;
        }
    }
}

fn q5_k(block: &[u8], out: &mut [f32]) {
    let (d, m, high, q) = (half(block, 0), half(block, 2), &block[16..48], &block[48..]);
    for (group, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, minimum) = scale_and_minimum(&block[4..16], group);
        for (i, out) in out.iter_mut().enumerate() {
            let q = four_bits(q, group * 32 + i) | (high[i] >> group & 1) << 4;
            *out = d * scale * f32::from(q) - m * minimum;
        }
    }
}

fn q6_k(block: &[u8], out: &mut [f32]) {
    let (low, high, scales, d) = (&block[..128], &block[128..192], &block[192..208], half(block, 208));
    for (i, out) in out.iter_mut().enumerate() {
        // Each 64 bytes hold the low bits of 128 numbers, low halves first.
        let low = low[i / 128 * 64 + i % 64] >> (i % 128 / 64 * 4) & 15;
        let q = low | two_bits(high, i) << 4;
        *out = d * f32::from(scales[i / 16] as i8) * (f32::from(q) - 32.0);
    }
}

fn iq4_nl(block: &[u8], out: &mut [f32]) {
    let d = half(block, 0);
    nibbles(&block[2..], |q, _| d * f32::from(PLACES[usize::from(q)]), out);
}

fn iq4_xs(block: &[u8], out: &mut [f32]) {
    let (d, high, low, q) = (half(block, 0), u16::from_le_bytes([block[2], block[3]]), &block[4..8], &block[8..]);
    for (group, out) in out.chunks_exact_mut(32).enumerate() {
        let scale = low[group / 2] >> (group % 2 * 4) & 15 | ((high >> (group * 2) & 3) << 4) as u8;
        let scale = d * (f32::from(scale) - 32.0);
        nibbles(&q[group * 16..][..16], |q, _| scale * f32::from(PLACES[usize::from(q)]), out);
    }
}
