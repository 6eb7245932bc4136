use wan_animate::unversioned::ops::Activation;

use super::activation::activate;
use crate::approx::Approx;
use crate::host::Host;

pub fn gated(a: &Host, activation: Activation, b: &Host) -> Vec<Approx> {
    (0..a.values.len()).map(|i| activate(activation, a.at(i)) * b.at(i)).collect()
}
