use wan_animate::unversioned::ops::Activation;

use super::activation::activate;
use crate::approx::{Approx, sum};
use crate::host::Host;

#[derive(Clone, Debug, Default)]
pub struct Epilogue {
    pub bias: Option<Host>,
    pub activation: Activation,
    pub gate: Option<Host>,
    pub residual: Option<Host>,
}

pub fn matmul(x: &Host, w: &Host, epilogue: &Epilogue) -> Vec<Approx> {
    let element = |row: usize, col: usize| {
        let product = sum((0..x.cols()).map(|k| x.at(row * x.cols() + k) * w.at(col * x.cols() + k)));
        let biased = epilogue.bias.as_ref().map_or(product, |bias| product + bias.at(col));
        let active = activate(epilogue.activation, biased);
        let gated = epilogue.gate.as_ref().map_or(active, |gate| gate.at(col) * active);
        epilogue.residual.as_ref().map_or(gated, |residual| residual.at(row * w.rows() + col) + gated)
    };
    (0..x.rows()).flat_map(|row| (0..w.rows()).map(move |col| element(row, col)).collect::<Vec<_>>()).collect()
}
