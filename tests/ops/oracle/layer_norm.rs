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
