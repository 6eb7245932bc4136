use wan_animate::unversioned::ops::Activation;
use wan_animate::unversioned::ops::pool::Window;

use super::activation::activate;
use super::pool::windows;
use crate::approx::{Approx, sum};
use crate::host::Host;

pub fn channelwise(x: &Host, w: &Host, bias: Option<&Host>, window: &Window, activation: Activation) -> Vec<Approx> {
    let channels = x.cols();
    let result = |(i, (covered, _)): (usize, (Vec<(usize, usize)>, usize))| {
        let c = i % channels;
        let terms = covered.iter().map(|&(tap, place)| w.at(tap * channels + c) * x.at(place));
        activate(activation, sum(bias.map(|bias| bias.at(c)).into_iter().chain(terms)))
    };
    windows(&x.shape, window).into_iter().enumerate().map(result).collect()
}
