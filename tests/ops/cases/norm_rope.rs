use std::iter;

use wan_animate::unversioned::dtype::DType::{self, F16, F32};
use wan_animate::unversioned::ops::norm_rope::{Rotation, norm_rope};

use crate::case::{Case, Refusal, Sizes};
use crate::host::Host;

const EPS: f32 = 1e-6;

fn case(x: Host, dim: usize, dtype: DType) -> Case {
    let (cos, sin) = (Host::random(2, &[x.rows(), dim / 2], 1.0), Host::random(3, &[x.rows(), dim / 2], 1.0));
    let weight = Host::random(4, &[x.cols()], 2.0);
    Case::new(
        format!("norm_rope {:?} {}, heads of {dim}", x.shape, x.dtype),
        [&x.clone(), &weight.clone(), &cos.clone(), &sin.clone()],
        move |rec, [x, weight, cos, sin]| norm_rope(rec, x, weight, EPS, Rotation { cos, sin }, dtype),
        move || oracle::norm_rope(&x, &weight, EPS, &cos, &sin),
    )
}

pub fn cases() -> Vec<Case> {
    let x = |rows, cols| Host::random(1, &[rows, cols], 1.0);
    let mut zeros = x(4, 32);
    zeros.values[..32].fill(0.0);
    vec![
        case(x(9, 128), 64, F32),
        case(x(9, 30), 10, F32),
        case(x(70, 2), 2, F32),
        case(x(3, 200), 20, F32),
        case(x(3, 400), 40, F32),
        case(x(5, 12), 6, F32),
        case(x(9, 64).to(F16), 16, F16),
        case(x(3, 1156), 68, F16),
        case(Host::random(1, &[5, 64], 65504.0), 16, F16),
        case(zeros, 8, F32),
    ]
}

pub fn timed(sizes: Sizes) -> impl Iterator<Item = Case> {
    let [rows, cols] = sizes.tokens();
    iter::once_with(move || case(Host::random(1, &[rows, cols], 1.0), 128, F16).named(format!("norm_rope {rows}x{cols} to f16")))
}

pub fn refusals() -> Vec<Refusal> {
    let refused = |says, cols: usize, weight: usize, cos: &[usize], sin: &[usize]| {
        let inputs =
            [&Host::random(1, &[3, cols], 1.0), &Host::random(2, &[weight], 1.0), &Host::random(3, cos, 1.0), &Host::random(4, sin, 1.0)];
        Refusal::new(says, inputs, |rec, [x, weight, cos, sin]| norm_rope(rec, x, weight, EPS, Rotation { cos, sin }, F32))
    };
    vec![
        refused("weight: C is 4, was 8", 8, 4, &[3, 2], &[3, 2]),
        refused("cos: L is 4, was 3", 8, 8, &[4, 2], &[4, 2]),
        refused("sin: D/2 is 4, was 2", 8, 8, &[3, 2], &[3, 4]),
        refused("no multiple of the head's 6", 8, 8, &[3, 3], &[3, 3]),
    ]
}

pub mod oracle {
    use wan_animate::unversioned::ops::Activation;

    use crate::approx::Approx;
    use crate::cases::rms_norm::oracle::rms_norm;
    use crate::host::Host;

    pub fn norm_rope(x: &Host, weight: &Host, eps: f32, cos: &Host, sin: &Host) -> Vec<Approx> {
        let half = cos.cols();
        let normed = rms_norm(x, weight, eps, Activation::None);
        let element = |i: usize| {
            let (token, pair) = (i / x.cols(), i % x.cols() / 2);
            let (c, s) = (cos.at(token * half + pair % half), sin.at(token * half + pair % half));
            let (a, b) = (normed[token * x.cols() + 2 * pair], normed[token * x.cols() + 2 * pair + 1]);
            if (i % x.cols()).is_multiple_of(2) { a * c - b * s } else { a * s + b * c }
        };
        (0..x.values.len()).map(element).collect()
    }
}
