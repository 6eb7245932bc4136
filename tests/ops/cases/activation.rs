use wan_animate::unversioned::dtype::DType;
use wan_animate::unversioned::ops::Activation;
use wan_animate::unversioned::ops::lincomb::activate;

use self::oracle::activate as exact;
use crate::case::{Case, Refusal, Sizes};
use crate::host::Host;

fn case(x: &Host, activation: Activation) -> Case {
    let values = x.clone();
    Case::new(
        format!("activate {activation:?} {:?}", x.shape),
        [x],
        move |rec, [x]| activate(rec, x, activation, DType::F32),
        move || (0..values.values.len()).map(|i| exact(activation, values.at(i))).collect(),
    )
}

/// Every activation over the whole range: -8 to 8 closely, then by powers up to the largest f16 and down into the subnormals.
pub fn cases() -> Vec<Case> {
    let values: Vec<f32> = (-800..=800)
        .map(|i| i as f32 * 0.01)
        .chain((0..60).flat_map(|i| [1.0, -1.0].map(|sign| sign * 8.0 * 1.17f32.powi(i))))
        .chain([1e-3, 1e-10, 1e-38, 1e-40, 1.4e-45, 0.0, 1e4, 65504.0].into_iter().flat_map(|v| [v, -v]))
        .collect();
    let x = Host::new(&[values.len()], |i| values[i]);
    Activation::ALL.map(|activation| case(&x, activation)).into()
}

pub fn timed(sizes: Sizes) -> impl Iterator<Item = Case> {
    sizes.small(|| {
        let x = Host::random(1, &Sizes::Small.tokens(), 4.0);
        [case(&x, Activation::GeluTanh)]
    })
}

/// Any tensor will do.
pub fn refusals() -> Vec<Refusal> {
    Vec::new()
}

pub mod oracle {
    use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, SQRT_2};

    use wan_animate::unversioned::ops::Activation;

    use crate::approx::Approx;

    pub fn activate(activation: Activation, x: Approx) -> Approx {
        let times_logistic = |y: Approx| {
            // Beyond 40 the logistic function is 0 or 1 within 5e-18, wherever the kernel, which keeps y within 80 of zero, has its own y.
            if y.value.abs() - y.error > 40.0 {
                let rest = x.value.abs() * 5e-18;
                return if y.value > 0.0 {
                    (x / Approx::exact(1.0)).widened(rest)
                } else {
                    Approx::exact(0.0).widened(rest + x.error * 5e-18)
                };
            }
            let made = x / (Approx::exact(1.0) + (-y).exp());
            // However wrong y is, the result is between 0 and x.
            Approx { value: made.value, error: made.error.min(x.value.abs() + 2.0 * x.error) }
        };
        match activation {
            Activation::None => x,
            Activation::Silu => times_logistic(x),
            // 0.5 (1 + tanh y) is the logistic function of 2 y.
            Activation::GeluTanh => {
                times_logistic(Approx::rounded(8f64.sqrt() * 0.5 * FRAC_2_SQRT_PI) * (x + Approx::rounded(0.044715) * x * x * x))
            }
            Activation::GeluErf => {
                let value = 0.5 * x.value * (1.0 + erf(x.value * FRAC_1_SQRT_2));
                // The derivative is below 1.13. The kernel's formula for erf is within 1.5e-7, and is evaluated in f32 to a few ULP of 1.
                Approx {
                    value,
                    error: 1.13 * x.error + 0.5 * x.value.abs() * (1.5e-7 + 8.0 / (1 << 23) as f64) + f64::from(f32::MIN_POSITIVE),
                }
            }
            Activation::QuickGelu => times_logistic(Approx::rounded(1.702) * x),
            Activation::ScaledLeakyRelu => x * Approx::rounded(if x.value > 0.0 { 1.0 } else { 0.2 }) * Approx::rounded(SQRT_2),
            Activation::Relu => Approx { value: x.value.max(0.0), error: x.error },
            Activation::HardTanh => Approx { value: x.value.clamp(-1.0, 1.0), error: x.error },
            Activation::Relu6 => Approx { value: x.value.clamp(0.0, 6.0), error: x.error },
            // As above, 0 or 1 within 2e-35 beyond 80.
            Activation::Sigmoid => (Approx::exact(1.0) / (Approx::exact(1.0) + (-x).exp())).widened(2e-35),
            Activation::HardSwish => {
                let slope = x / Approx::exact(6.0) + Approx::exact(0.5);
                x * Approx { value: slope.value.clamp(0.0, 1.0), error: slope.error }
            }
        }
    }

    /// By the series of positive terms for e^(x^2) erf(x), to full precision.
    fn erf(x: f64) -> f64 {
        if x.abs() > 6.0 {
            return x.signum();
        }
        let terms = (0..200).scan(x, |term, n| Some(std::mem::replace(term, *term * 2.0 * x * x / f64::from(2 * n + 3))));
        FRAC_2_SQRT_PI * (-x * x).exp() * terms.sum::<f64>()
    }
}
