use wan_animate::unversioned::ops::Activation;

use super::rms_norm::rms_norm;
use crate::approx::Approx;
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
