use std::iter;

use wan_animate::unversioned::dtype::DType::{self, F16, F32};
use wan_animate::unversioned::ops::Activation;
use wan_animate::unversioned::ops::rms_norm::rms_norm;

use crate::case::{Case, Refusal, Sizes};
use crate::host::Host;

fn case(x: Host, activation: Activation, dtype: DType) -> Case {
    let weight = Host::random(2, &[x.cols()], 2.0);
    Case::new(
        format!("rms norm {:?} {}, {activation:?}", x.shape, x.dtype),
        [&x.clone(), &weight.clone()],
        move |rec, [x, weight]| rms_norm(rec, x, weight, 1e-6, activation, dtype),
        move || oracle::rms_norm(&x, &weight, 1e-6, activation),
    )
}

pub fn cases() -> Vec<Case> {
    let x = |rows, cols| Host::random(1, &[rows, cols], 2.0);
    let mut cases = vec![
        case(x(7, 10), Activation::None, F32),
        case(x(3, 128), Activation::Silu, F32),
        case(x(3, 384), Activation::Silu, F32),
        case(x(131, 3), Activation::None, F32),
        case(x(70, 64), Activation::Silu, F32),
        case(x(2, 200), Activation::None, F32),
        case(x(2, 1000), Activation::None, F32),
        case(x(2, 5121), Activation::None, F32),
        case(x(5, 1), Activation::None, F32),
        case(x(5, 128).to(F16), Activation::None, F16),
        case(Host::random(1, &[2, 128], 65504.0), Activation::None, F32),
        case(Host::new(&[2, 128], |i| (i / 128) as f32 * 1e-4), Activation::None, F32),
    ];
    cases.extend(Activation::ALL.map(|activation| case(x(3, 20), activation, F32)));
    cases
}

pub fn timed(sizes: Sizes) -> impl Iterator<Item = Case> {
    let [rows, cols] = sizes.tokens();
    let name = format!("rms_norm {rows}x{cols} to f16");
    iter::once_with(move || case(Host::random(1, &[rows, cols], 2.0), Activation::None, F16).named(name))
}

pub fn refusals() -> Vec<Refusal> {
    let refused = |says, x: &[usize], weight: &[usize]| {
        let inputs = [&Host::random(1, x, 1.0), &Host::random(2, weight, 1.0)];
        Refusal::new(says, inputs, |rec, [x, weight]| rms_norm(rec, x, weight, 1e-6, Activation::None, F32))
    };
    vec![refused("weight: C is 7, was 8", &[2, 8], &[7]), refused("x: shape [1, 2, 8]", &[1, 2, 8], &[8])]
}

pub mod oracle {
    use wan_animate::unversioned::ops::Activation;

    use crate::approx::{Approx, row_sum};
    use crate::cases::activation::oracle::activate;
    use crate::host::Host;

    pub fn rms_norm(x: &Host, weight: &Host, eps: f32, activation: Activation) -> Vec<Approx> {
        let cols = x.cols();
        let norm = |row: usize| {
            let squares = row_sum((0..cols).map(|c| x.at(row * cols + c) * x.at(row * cols + c)));
            let factor = (squares / Approx::exact(cols as f64) + Approx::exact(eps)).inverse_sqrt();
            (0..cols).map(|c| activate(activation, x.at(row * cols + c) * factor * weight.at(c))).collect::<Vec<_>>()
        };
        (0..x.rows()).flat_map(norm).collect()
    }
}
