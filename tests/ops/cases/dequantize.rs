use wan_animate::unversioned::dtype::DType::{self, F16, F32};
use wan_animate::unversioned::gpu::Tensor;
use wan_animate::unversioned::gpu::{Recorder, Sink};
use wan_animate::unversioned::ops::dequantize::{Scales, dequantize};
use wan_animate::unversioned::ops::{epilogue::Epilogue, matmul::matmul};
use wan_animate::unversioned::weights::{BlockFormat, Encoding};

use super::matmul::oracle as product_oracle;
use crate::approx::{Approx, sum};
use crate::case::{Case, Refusal, Sizes, op};
use crate::host::Host;
use crate::quantized::{PLAIN, Stored, block, dequantized, forms};

fn name(what: &str, stored: &Stored, dtype: DType) -> String {
    format!("dequantize {what}: {} {:?}, {} scales, to {dtype}", stored.encoding, stored.shape, stored.scales.len())
}

/// The kernel alone, so that the guards behind its output show stray writes.
fn kernel(what: &str, stored: Stored, dtype: DType) -> Case {
    let (name, exact) = (name(what, &stored, dtype), stored.clone());
    let prepare = move |rec: &mut Recorder| {
        let (size, encoding, shape) = (stored.bytes.len(), stored.encoding, stored.shape);
        let words = rec.device().take("stored", &[size.div_ceil(4)], F32, size as u64, &|| Ok((&stored.bytes[..]).into()))?;
        let scales = match stored.scales[..] {
            [] => Scales::One(1.0),
            [scale] => Scales::One(scale),
            _ => Scales::Rows(rec.upload(&[stored.shape[0]], &stored.scales)?),
        };
        op(move |rec| dequantize(rec, &words, encoding, shape, &scales, dtype))
    };
    Case::prepared(name, prepare, move || exact.floats(dtype).values.into_iter().map(Approx::exact).collect())
}

/// A whole matrix, in as many runs as the device needs.
fn matrix(what: &str, stored: Stored, dtype: DType) -> Case {
    let (name, exact) = (name(what, &stored, dtype), stored.clone());
    let run = move |rec: &mut Recorder, []: [&Tensor; 0]| {
        let matrix = stored.upload(rec.device(), dtype)?;
        dequantized(rec, &matrix, dtype)
    };
    let values = move || {
        let base = |dtype| exact.floats(dtype).values.into_iter().map(Approx::exact);
        let Some(change) = &exact.change else { return base(dtype).collect() };
        let factor = |factors: &[f32], row: usize, k: usize| Approx::exact(factors[row * change.rank + k]);
        let changed = |(i, base): (usize, Approx)| {
            let (row, col) = (i / exact.shape[1], i % exact.shape[1]);
            base + sum((0..change.rank).map(|k| factor(&change.up, row, k) * factor(&change.down, col, k)))
        };
        base(F32).enumerate().map(changed).collect()
    };
    Case::new(name, [], run, values)
}

fn product(what: &str, rows: usize, stored: Stored, dtype: DType) -> Case {
    let epilogue = product_oracle::Epilogue {
        bias: Some(Host::random(3, &[stored.shape[0]], 2.0)),
        activation: wan_animate::unversioned::ops::Activation::GeluTanh,
        gate: Some(Host::random(4, &[stored.shape[0]], 2.0)),
        residual: Some(Host::random(5, &[rows, stored.shape[0]], 2.0)),
    };
    let x = Host::random(1, &[rows, stored.shape[1]], 1.0);
    let (name, w, x2, epilogue2) = (format!("matmul by {}", name(what, &stored, dtype)), stored.floats(dtype), x.clone(), epilogue.clone());
    let run = move |rec: &mut Recorder, [x]: [&Tensor; 1]| {
        let w = stored.upload(rec.device(), dtype)?;
        let send = |host: &Option<Host>, rec: &mut Recorder| crate::host::send(host, rec);
        let (bias, gate, residual) = (send(&epilogue.bias, rec)?, send(&epilogue.gate, rec)?, send(&epilogue.residual, rec)?);
        let epilogue = Epilogue { bias: bias.as_ref(), activation: epilogue.activation, gate: gate.as_ref(), residual: residual.as_ref() };
        matmul(rec, x, &w, epilogue, F32)
    };
    Case::new(name, [&x], run, move || product_oracle::matmul(&x2, &w, &epilogue2))
}

/// Every code of every form, in both precisions; and a few rows of each with nothing between the output and the guards behind it.
pub fn all_codes() -> Vec<Case> {
    let both = |(form, dtype): ((Encoding, &'static [usize]), DType)| {
        let unit = form.0.block().map_or(4, BlockFormat::elements);
        let part = |part: usize| matrix("every code", Stored::from(form, [181, unit], part * 181), dtype);
        [part(0), part(1), part(2), kernel("some rows", Stored::new(form, [7, 3 * unit]), dtype)]
    };
    forms().flat_map(|form| [(form, F32), (form, F16)]).flat_map(both).collect()
}

/// What only eight-bit numbers have beside them.
pub fn scales() -> Vec<Case> {
    let mut cases = Vec::new();
    for (form, dtype) in PLAIN.into_iter().flat_map(|form| [(form, F32), (form, F16)]) {
        // 1e-43 times any code is below the normal range of f32, so all of it may be flushed to zero.
        for scale in [0.0, 1.0, -0.037, 1e-43, f32::MIN_POSITIVE, 3.0e-8, 5.9e33] {
            cases.push(kernel("one scale", Stored::new(form, [3, 256]).scaled(&[scale]), dtype));
        }
        cases.push(kernel("scales of rows", Stored::new(form, [23, 260]).scaled_by_row(), dtype));
        cases.push(kernel("one row", Stored::new(form, [1, 4]), dtype));
    }
    cases
}

pub fn cases() -> Vec<Case> {
    let form = |encoding| *PLAIN.iter().find(|form| form.0 == encoding).expect("listed");
    // In f32 more than the smallest device takes in one binding, so that there are two runs; in f16, as which they are gathered, just not.
    let large = [
        matrix("several runs", Stored::new(form(Encoding::F8E4M3), [117, 1024]).scaled_by_row(), F16),
        matrix("several runs", Stored::new(form(Encoding::I8), [119, 1024]).scaled_by_row(), F16),
        matrix("several runs", Stored::new(block(BlockFormat::Q6K), [57, 2048]), F16),
        matrix("several runs", Stored::new(block(BlockFormat::Q4_0), [59, 2016]), F16),
        matrix("several runs changed", Stored::new(form(Encoding::F8E5M2), [301, 400]).scaled(&[2.5e-4]).changed(12), F16),
        matrix("changed", Stored::new(form(Encoding::F8E4M3), [150, 400]).scaled(&[0.01]).changed(12), F32),
        matrix("changed", Stored::new(form(Encoding::I8), [13, 24]).scaled(&[0.01]).changed(3), F32),
        matrix("changed", Stored::new(form(Encoding::I8), [13, 24]).scaled_by_row().changed(3), F16),
        product("several runs", 20, Stored::new(form(Encoding::F8E4M3), [405, 164]).scaled(&[0.01]), F32),
        product("one row", 1, Stored::new(form(Encoding::I8), [22, 36]).scaled_by_row(), F16),
        product("blocks", 33, Stored::new(block(BlockFormat::Q8_0), [30, 96]), F16),
        product("blocks", 9, Stored::new(block(BlockFormat::Q4K), [14, 512]), F32),
    ];
    all_codes().into_iter().chain(scales()).chain(large).collect()
}

pub fn timed(sizes: Sizes) -> impl Iterator<Item = Case> {
    let shape = if sizes == Sizes::Small { [1024, 1024] } else { [5120, 5120] };
    [PLAIN[0], PLAIN[2], block(BlockFormat::Q8_0), block(BlockFormat::Q4K), block(BlockFormat::Q6K)].into_iter().map(move |form| {
        let name = format!("dequantize {} {}x{} to f16", form.0, shape[0], shape[1]);
        kernel("", Stored::new(form, shape).scaled(if form.0.block().is_none() { &[0.5] } else { &[] }), F16).named(name)
    })
}

pub fn refusals() -> Vec<Refusal> {
    let upload = |says, change: fn(&mut Stored)| {
        let mut stored = Stored::new(PLAIN[2], [4, 8]);
        change(&mut stored);
        Refusal::new(says, [], move |rec, []| {
            stored.upload(rec.device(), F16)?;
            rec.alloc(&[1], F32)
        })
    };
    vec![
        upload("31 bytes, 0 scales for i8 [4, 8]", |stored| stored.bytes.truncate(31)),
        upload("3 scales for i8 [4, 8]", |stored| stored.scales = vec![1.0; 3]),
        upload("i16 rows of 8", |stored| stored.encoding = Encoding::I16),
        upload("q8_0 rows of 8", |stored| stored.encoding = Encoding::Block(BlockFormat::Q8_0)),
        upload("i8 rows of 6", |stored| stored.shape = [4, 6]),
        upload("0 i8 rows of 8", |stored| (stored.shape, stored.bytes) = ([0, 8], Vec::new())),
    ]
}

pub mod oracle {
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
}
