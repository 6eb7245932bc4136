use wan_animate::unversioned::ops::Activation;

use super::activation::activate;
use crate::approx::{Approx, row_sum};
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
