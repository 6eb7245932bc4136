//! How the noise levels of a run are spread.

/// Where a run's noise levels lie between its first and last.
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Spacing {
    /// Equally spaced, then shifted: what the models were made for.
    #[default]
    Uniform,
    /// By the seventh root (Karras et al. 2022): dense at low noise.
    Karras,
    /// By the logarithm: denser still at low noise.
    Exponential,
    /// By the quantiles of the beta distribution with both parameters 0.6 (Lee et al. 2024): dense at both ends.
    Beta,
    /// These levels in (0, 1], falling, exactly as given; a final 0 may be left out. The shift does not apply.
    Sigmas(Vec<f64>),
    /// These timesteps in (0, 1000], falling; the levels are a thousandth of them. The shift does not apply.
    Timesteps(Vec<f64>),
}

impl Spacing {
    /// The number of steps that an explicit list fixes.
    pub fn steps(&self) -> Option<usize> {
        match self {
            Self::Sigmas(list) | Self::Timesteps(list) => Some(without_zero(list).len()),
            _ => None,
        }
    }
}

/// The list without its final 0, if it has one.
pub(super) fn without_zero(list: &[f64]) -> &[f64] {
    list.strip_suffix(&[0.0]).unwrap_or(list)
}

/// `count` levels from `most` to `least`, by the seventh root.
pub(super) fn karras(most: f64, least: f64, count: usize) -> Vec<f64> {
    const RHO: f64 = 7.0;
    let (from, to) = (most.powf(1.0 / RHO), least.powf(1.0 / RHO));
    ramp(count).map(|x| (from + x * (to - from)).powf(RHO)).collect()
}

/// `count` levels from `most` to `least`, by the logarithm.
pub(super) fn exponential(most: f64, least: f64, count: usize) -> Vec<f64> {
    ramp(count).map(|x| (most.ln() + x * (least.ln() - most.ln())).exp()).collect()
}

/// `count` levels from `most` to `least`, by the quantiles of the beta distribution.
pub(super) fn beta(most: f64, least: f64, count: usize) -> Vec<f64> {
    ramp(count).map(|x| least + beta_quantile(1.0 - x) * (most - least)).collect()
}

/// 0 to 1 in equal steps; 0 alone.
fn ramp(count: usize) -> impl Iterator<Item = f64> {
    (0..count).map(move |i| i as f64 / (count.max(2) - 1) as f64)
}

/// The value below which a part `p` of the beta distribution lies.
fn beta_quantile(p: f64) -> f64 {
    if p > 0.5 {
        return 1.0 - beta_quantile(1.0 - p); // both parameters are the same
    }
    let (mut low, mut high) = (0.0, 0.5);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if beta_part(middle) < p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// The part of the beta distribution below `x`, at most a half: the hypergeometric series.
fn beta_part(x: f64) -> f64 {
    const A: f64 = 0.6;
    /// The beta function at (0.6, 0.6).
    const BETA: f64 = 2.415_344_208_002_471_4;
    let mut power = 1.0;
    let mut sum = 0.0;
    for k in 0..60 {
        let k = f64::from(k);
        sum += power / (A + k);
        power *= x * (k + 1.0 - A) / (k + 1.0);
    }
    x.powf(A) / BETA * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_beta_distribution_lies_below_a_half() {
        assert!((beta_part(0.5) - 0.5).abs() < 1e-12, "{}", beta_part(0.5));
        assert!((beta_quantile(0.5) - 0.5).abs() < 1e-12);
        assert!(beta_quantile(0.0) < 1e-15 && beta_quantile(1.0) > 1.0 - 1e-15);
    }
}
