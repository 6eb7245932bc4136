//! Numbers with a bound on how far an f32 evaluation of the same formula may be from them (running error analysis), so that
//! every tolerance follows from the formula: from the accuracy that WGSL demands of each operation and the sizes met on the way.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// Spacing of f32 numbers relative to their size. Sums and products are off by half of it.
const ULP: f64 = 1.0 / (1 << 23) as f64;
/// Smaller results may be flushed to zero.
const TINY: f64 = f32::MIN_POSITIVE as f64;

/// A number and the largest error of its f32 counterpart.
#[derive(Clone, Copy, Debug)]
pub struct Approx {
    pub value: f64,
    pub error: f64,
}

impl Approx {
    pub fn exact(value: impl Into<f64>) -> Self {
        Self { value: value.into(), error: 0.0 }
    }

    /// A value that the kernel rounds to f32 at first, as it does with constants.
    pub fn rounded(value: f64) -> Self {
        Self::new(value, 0.0, 0.5)
    }

    fn new(value: f64, error: f64, ulps: f64) -> Self {
        Self { value, error: error + ulps * ULP * (value.abs() + error) + TINY }
    }

    /// With an error of its own.
    pub fn widened(self, error: f64) -> Self {
        Self { error: self.error + error, ..self }
    }

    /// WGSL: 3 + 2 |x| ULP.
    pub fn exp(self) -> Self {
        let value = self.value.min(700.0).exp();
        Self::new(value, value * self.error.min(700.0).exp_m1(), 3.0 + 2.0 * self.value.abs())
    }

    /// WGSL: 2 ULP.
    pub fn inverse_sqrt(self) -> Self {
        let value = 1.0 / self.value.sqrt();
        Self::new(value, 1.0 / (self.value - self.error).max(0.0).sqrt() - value, 2.0)
    }

    /// As stored in f16: saturated, and off by one of its steps, since `pack2x16float` may round either way.
    pub fn as_f16(self) -> Self {
        let value = self.value.clamp(-65504.0, 65504.0);
        Self { value, error: self.error + (value.abs() + self.error) / 1024.0 + 2f64.powi(-24) }
    }

    pub fn allows(self, got: f64) -> bool {
        (got - self.value).abs() <= self.error.max(TINY)
    }
}

/// A sum of n terms in any order: each is in at most n - 1 additions.
pub fn sum(terms: impl IntoIterator<Item = Approx>) -> Approx {
    let terms: Vec<_> = terms.into_iter().collect();
    sum_of_depth(&terms, terms.len())
}

/// A sum along a row by the lanes of a workgroup, vec4s first: each term is in at most n / 32 additions of a lane (a workgroup
/// has eight lanes or more) and in those of the tree.
pub fn row_sum(terms: impl IntoIterator<Item = Approx>) -> Approx {
    let terms: Vec<_> = terms.into_iter().collect();
    sum_of_depth(&terms, terms.len() / 32 + 12)
}

fn sum_of_depth(terms: &[Approx], depth: usize) -> Approx {
    let size: f64 = terms.iter().map(|term| term.value.abs() + term.error).sum();
    let error: f64 = terms.iter().map(|term| term.error).sum();
    Approx { value: terms.iter().map(|term| term.value).sum(), error: error + 0.5 * ULP * depth as f64 * size + TINY }
}

impl Add for Approx {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self::new(self.value + other.value, self.error + other.error, 0.5)
    }
}

impl Neg for Approx {
    type Output = Self;
    fn neg(self) -> Self {
        Self { value: -self.value, ..self }
    }
}

impl Sub for Approx {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Approx {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let error = self.value.abs() * other.error + self.error * other.value.abs() + self.error * other.error;
        Self::new(self.value * other.value, error, 0.5)
    }
}

impl Div for Approx {
    type Output = Self;
    /// WGSL: 2.5 ULP.
    fn div(self, other: Self) -> Self {
        let value = self.value / other.value;
        let error = (self.error + value.abs() * other.error) / (other.value.abs() - other.error).max(0.0);
        Self::new(value, error, 2.5)
    }
}
