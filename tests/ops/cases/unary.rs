use wan_animate::unversioned::ops::unary::{Function, unary};

use crate::case::{Case, Refusal, Sizes};
use crate::host::Host;

fn case(x: Host, function: Function) -> Case {
    Case::new(
        format!("{function:?} of {:?}", x.shape),
        [&x.clone()],
        move |rec, [x]| unary(rec, x, function),
        move || oracle::unary(&x, function),
    )
}

pub fn cases() -> Vec<Case> {
    let any = || Host::random(1, &[3, 7], 9.0);
    let positive = || Host::new(&[70], |i| 0.01 + i as f32);
    let functions = [
        Function::Tanh,
        Function::Exp,
        Function::Erf,
        Function::Softplus,
        Function::Mish,
        Function::Abs,
        Function::Clip(-1.5, 6.0),
        Function::LeakyRelu(0.1),
        Function::HardSigmoid(1.0 / 6.0, 0.5),
        Function::Affine(-2.0, 0.25),
    ];
    let of_positive = [Function::Sqrt, Function::Reciprocal].map(|function| case(positive(), function));
    functions
        .map(|function| case(any(), function))
        .into_iter()
        .chain(of_positive)
        .chain([case(Host::random(2, &[300], 80.0), Function::Tanh)])
        .collect()
}

pub fn timed(sizes: Sizes) -> impl Iterator<Item = Case> {
    sizes.small(|| [case(Host::random(1, &Sizes::Small.tokens(), 9.0), Function::Tanh)])
}

/// Any tensor will do.
pub fn refusals() -> Vec<Refusal> {
    Vec::new()
}

pub mod oracle {
    use std::f64::consts::FRAC_2_SQRT_PI;

    use wan_animate::unversioned::ops::unary::Function;

    use crate::approx::Approx;
    use crate::host::Host;

    /// Of numbers near 1.
    const ULP: f64 = 1.0 / (1 << 23) as f64;

    pub fn unary(x: &Host, function: Function) -> Vec<Approx> {
        (0..x.values.len()).map(|i| apply(function, x.at(i))).collect()
    }

    fn apply(function: Function, x: Approx) -> Approx {
        let one = Approx::exact(1.0);
        match function {
            Function::Tanh => tanh(x),
            Function::Exp => x.exp(),
            // WGSL: as 1 / inverseSqrt.
            Function::Sqrt => one / x.inverse_sqrt(),
            // The kernel's formula is within 1.5e-7, and is evaluated to a few ULP of 1.
            Function::Erf => Approx { value: erf(x.value), error: 1.5e-7 + 16.0 * ULP },
            Function::Softplus => softplus(x),
            Function::Mish => x * tanh(softplus(x)),
            Function::Abs => Approx { value: x.value.abs(), error: x.error },
            Function::Reciprocal => one / x,
            Function::Clip(low, high) => clamp(x, low.into(), high.into()),
            Function::LeakyRelu(slope) => {
                if x.value < 0.0 {
                    Approx::exact(slope) * x
                } else {
                    x
                }
            }
            Function::HardSigmoid(a, b) => clamp(Approx::exact(a) * x + Approx::exact(b), 0.0, 1.0),
            Function::Affine(a, b) => Approx::exact(a) * x + Approx::exact(b),
        }
    }

    fn clamp(x: Approx, low: f64, high: f64) -> Approx {
        Approx { value: x.value.clamp(low, high), error: x.error }
    }

    fn tanh(x: Approx) -> Approx {
        let (one, two) = (Approx::exact(1.0), Approx::exact(2.0));
        let size = Approx { value: x.value.abs(), error: x.error };
        let result = one - two / ((two * size).exp() + one);
        Approx { value: x.value.tanh(), error: result.error }
    }

    fn softplus(x: Approx) -> Approx {
        let from_zero = (-Approx { value: x.value.abs(), error: x.error }).exp();
        // WGSL: the logarithm of numbers from 1 to 2 is within 2^-21.
        let logarithm = Approx { value: from_zero.value.ln_1p(), error: from_zero.error + ULP + 2f64.powi(-21) };
        Approx { value: x.value.max(0.0), error: x.error } + logarithm
    }

    fn erf(x: f64) -> f64 {
        if x.abs() > 6.0 {
            return x.signum();
        }
        let terms = (0..200).scan(x, |term, n| Some(std::mem::replace(term, *term * 2.0 * x * x / f64::from(2 * n + 3))));
        FRAC_2_SQRT_PI * (-x * x).exp() * terms.sum::<f64>()
    }
}
