use wan_animate::unversioned::ops::Activation;

use super::activation::activate;
use crate::approx::{Approx, sum};
use crate::host::Host;

pub fn combine(terms: &[(f64, Host)], constant: f64, activation: Activation) -> Vec<Approx> {
    let products = |i: usize| terms.iter().map(move |(factor, x)| Approx::rounded(*factor) * x.at(i));
    (0..terms[0].1.values.len()).map(|i| activate(activation, sum(products(i).chain([Approx::rounded(constant)])))).collect()
}
