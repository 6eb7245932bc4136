use wan_animate::unversioned::ops::Activation;

use super::activation::activate;
use crate::approx::{Approx, sum};
use crate::host::Host;

/// Like `ConvOptions`, with its tensors on the host.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub stride_t: usize,
    pub stride: usize,
    pub pad: [(usize, usize); 3],
    pub upsample: bool,
    pub bias: Option<Host>,
    pub activation: Activation,
    pub slope: Option<Host>,
    pub residual: Option<Host>,
    pub activation_last: bool,
}

/// x [T, H, W, C], w [N, C, kt, kh, kw].
pub fn conv(x: &Host, w: &Host, options: &Options) -> Vec<Approx> {
    let (channels, kernel, up) = (x.cols(), &w.shape[2..], 1 + usize::from(options.upsample));
    let (strides, scales) = ([options.stride_t, options.stride, options.stride], [1, up, up]);
    let size = |a: usize| (x.shape[a] * scales[a] + options.pad[a].0 + options.pad[a].1 - kernel[a]) / strides[a] + 1;
    let (out_h, out_w, outs) = (size(1), size(2), w.shape[0]);
    let element = |i: usize| {
        let (pixel, n) = ([i / outs / out_w / out_h, i / outs / out_w % out_h, i / outs % out_w], i % outs);
        let term = |k: usize| {
            let (c, tap) = (k % channels, k / channels);
            let tap = [tap / kernel[2] / kernel[1], tap / kernel[2] % kernel[1], tap % kernel[2]];
            let place = [0, 1, 2].map(|a| (pixel[a] * strides[a] + tap[a]).checked_sub(options.pad[a].0).map(|p| p / scales[a]));
            let inside = (0..3).all(|a| place[a].is_some_and(|p| p < x.shape[a]));
            let [t, y, z] = place.map(|p| if inside { p.unwrap_or(0) } else { 0 });
            let weight = (((n * channels + c) * kernel[0] + tap[0]) * kernel[1] + tap[1]) * kernel[2] + tap[2];
            inside.then(|| x.at(((t * x.shape[1] + y) * x.shape[2] + z) * channels + c) * w.at(weight))
        };
        let product = sum((0..kernel.iter().product::<usize>() * channels).filter_map(term));
        finish(options, i, n, options.bias.as_ref().map_or(product, |bias| product + bias.at(n)))
    };
    (0..size(0) * out_h * out_w * outs).map(element).collect()
}

/// What follows a sum, bias and all, of channel `n`.
pub fn finish(options: &Options, i: usize, n: usize, sum: Approx) -> Approx {
    let add = |x: Approx| options.residual.as_ref().map_or(x, |residual| residual.at(i) + x);
    let active = |x: Approx| match &options.slope {
        Some(slope) if x.value < 0.0 => x * slope.at(n),
        Some(_) => x,
        None => activate(options.activation, x),
    };
    if options.activation_last { active(add(sum)) } else { add(active(sum)) }
}
