use wan_animate::unversioned::ops::window::Window;

use super::conv::{Options, finish};
use super::pool::windows;
use crate::approx::{Approx, sum};
use crate::host::Host;

/// Of `options` what follows the sums.
pub fn channelwise(x: &Host, w: &Host, window: &Window, options: &Options) -> Vec<Approx> {
    let channels = x.cols();
    let result = |(i, (covered, _)): (usize, (Vec<(usize, usize)>, usize))| {
        let c = i % channels;
        let terms = covered.iter().map(|&(tap, place)| w.at(tap * channels + c) * x.at(place));
        finish(options, i, c, sum(options.bias.as_ref().map(|bias| bias.at(c)).into_iter().chain(terms)))
    };
    windows(&x.shape, window).into_iter().enumerate().map(result).collect()
}
