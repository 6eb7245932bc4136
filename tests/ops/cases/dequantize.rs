use wan_animate::unversioned::dtype::DType::{self, F16, F32};
use wan_animate::unversioned::gpu::Tensor;
use wan_animate::unversioned::gpu::{Recorder, Sink};
use wan_animate::unversioned::ops::dequantize::{Scales, dequantize};
use wan_animate::unversioned::ops::{epilogue::Epilogue, matmul::matmul};
use wan_animate::unversioned::weights::{BlockFormat, Encoding};

use crate::approx::{Approx, sum};
use crate::case::{Case, Refusal};
use crate::host::Host;
use crate::oracle::matmul as oracle;
use crate::quantized::{PLAIN, Stored, block, dequantized, forms};

fn name(what: &str, stored: &Stored, dtype: DType) -> String {
    format!("dequantize {what}: {} {:?}, {} scales, to {dtype}", stored.encoding, stored.shape, stored.scales.len())
}

/// The kernel alone, so that the guards behind its output show stray writes.
fn kernel(what: &str, stored: Stored, dtype: DType) -> Case {
    let (name, exact) = (name(what, &stored, dtype), stored.clone());
    let run = move |rec: &mut Recorder, []: [&Tensor; 0]| {
        let words = {
            let size = stored.bytes.len();
            rec.device().take("stored", &[size.div_ceil(4)], F32, size as u64, &|| Ok((&stored.bytes[..]).into()))?
        };
        let scales = match stored.scales[..] {
            [] => Scales::One(1.0),
            [scale] => Scales::One(scale),
            _ => Scales::Rows(rec.upload(&[stored.shape[0]], &stored.scales)?),
        };
        dequantize(rec, &words, stored.encoding, stored.shape, &scales, dtype)
    };
    Case::new(name, [], run, move || exact.floats(dtype).values.into_iter().map(Approx::exact).collect())
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
    let epilogue = oracle::Epilogue {
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
    Case::new(name, [&x], run, move || oracle::matmul(&x2, &w, &epilogue2))
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
