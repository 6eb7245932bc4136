use std::iter;

use wan_animate::unversioned::dtype::DType::{self, F16, F32};
use wan_animate::unversioned::gpu::Recorder;
use wan_animate::unversioned::ops::layer_norm::{Affine, layer_norm};

use crate::case::{Case, Refusal, Sizes, op};
use crate::host::Host;

fn case(what: &str, x: Host, affine: oracle::Affine, dtype: DType) -> Case {
    let name = format!("layer norm {what}: {:?} {}", x.shape, x.dtype);
    let (x2, affine2) = (x.clone(), affine.clone());
    let prepare = move |rec: &mut Recorder| {
        let x = x.send(rec)?;
        match &affine {
            oracle::Affine::None => op(move |rec| layer_norm(rec, &x, Affine::None, 1e-6, dtype)),
            oracle::Affine::Weights(a, b) => {
                let (a, b) = (a.send(rec)?, b.send(rec)?);
                op(move |rec| layer_norm(rec, &x, Affine::Weights(&a, &b), 1e-6, dtype))
            }
            oracle::Affine::Modulation(a, b) => {
                let (a, b) = (a.send(rec)?, b.send(rec)?);
                op(move |rec| layer_norm(rec, &x, Affine::Modulation(&a, &b), 1e-6, dtype))
            }
        }
    };
    Case::prepared(name, prepare, move || oracle::layer_norm(&x2, &affine2, 1e-6))
}

pub fn cases() -> Vec<Case> {
    let x = |cols| Host::random(1, &[5, cols], 2.0);
    let (a, b) = (|cols| Host::random(2, &[cols], 2.0), |cols| Host::random(3, &[cols], 2.0));
    vec![
        case("plain", x(96), oracle::Affine::None, F32),
        case("of odd rows", x(77), oracle::Affine::None, F32),
        case("of two", x(2), oracle::Affine::None, F32),
        case("of many rows", Host::random(1, &[131, 20], 2.0), oracle::Affine::None, F32),
        case("of 200", x(200), oracle::Affine::None, F32),
        case("of one", x(1), oracle::Affine::None, F32),
        case("weighted", x(64), oracle::Affine::Weights(a(64), b(64)), F32),
        case("weighted, of odd rows", x(259), oracle::Affine::Weights(a(259), b(259)), F32),
        case("modulated", x(5120), oracle::Affine::Modulation(a(5120), b(5120)), F32),
        case("modulated, in f16", x(80).to(F16), oracle::Affine::Modulation(a(80), b(80)), F16),
        case("of constant rows", Host::new(&[3, 64], |i| [0.0, 0.1, 3.0][i / 64]), oracle::Affine::Weights(a(64), b(64)), F32),
        case("far from zero", Host::new(&[3, 64], |i| 1000.0 + x(64).values[i]), oracle::Affine::None, F32),
        case("near the largest f16", Host::random(1, &[3, 64], 65504.0), oracle::Affine::None, F16),
    ]
}

pub fn timed(sizes: Sizes) -> impl Iterator<Item = Case> {
    let [rows, cols] = sizes.tokens();
    let affine = oracle::Affine::Modulation(Host::random(2, &[cols], 2.0), Host::random(3, &[cols], 2.0));
    let name = format!("layer_norm, modulated {rows}x{cols} to f16");
    iter::once_with(move || case("", Host::random(1, &[rows, cols], 2.0), affine, F16).named(name))
}

pub fn refusals() -> Vec<Refusal> {
    let refused = |says, x: &[usize], scale: &[usize], shift: &[usize]| {
        let affine = oracle::Affine::Weights(Host::random(2, scale, 1.0), Host::random(3, shift, 1.0));
        Refusal { says, prepare: case("refused", Host::random(1, x, 1.0), affine, F32).prepare }
    };
    vec![
        refused("scale: C is 7, was 8", &[2, 8], &[7], &[8]),
        refused("shift: C is 9, was 8", &[2, 8], &[8], &[9]),
        refused("x: shape [8]", &[8], &[8], &[8]),
    ]
}

pub mod oracle {
    use crate::approx::{Approx, row_sum};
    use crate::host::Host;

    #[derive(Clone, Debug)]
    pub enum Affine {
        None,
        Weights(Host, Host),
        Modulation(Host, Host),
    }

    pub fn layer_norm(x: &Host, affine: &Affine, eps: f32) -> Vec<Approx> {
        let cols = x.cols();
        let count = Approx::exact(cols as f64);
        let norm = |row: usize| {
            let mean = row_sum((0..cols).map(|c| x.at(row * cols + c))) / count;
            let from_mean: Vec<_> = (0..cols).map(|c| x.at(row * cols + c) - mean).collect();
            let variance = row_sum(from_mean.iter().map(|&d| d * d)) / count;
            let factor = (variance + Approx::exact(eps)).inverse_sqrt();
            let affine = |(c, d): (usize, Approx)| match affine {
                Affine::None => d * factor,
                Affine::Weights(weight, bias) => d * factor * weight.at(c) + bias.at(c),
                Affine::Modulation(scale, shift) => d * factor * (Approx::exact(1.0) + scale.at(c)) + shift.at(c),
            };
            from_mean.into_iter().enumerate().map(affine).collect::<Vec<_>>()
        };
        (0..x.rows()).flat_map(norm).collect()
    }
}
