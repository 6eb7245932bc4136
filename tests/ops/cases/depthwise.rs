use wan_animate::unversioned::dtype::DType::{F16, F32};
use wan_animate::unversioned::ops::depthwise::depthwise;

use crate::case::{Case, Refusal, Sizes};
use crate::host::Host;

fn case(x: Host, k: usize, pad: (usize, usize), dtype: wan_animate::unversioned::dtype::DType) -> Case {
    let kernel = Host::random(2, &[k, k], 1.0);
    Case::new(
        format!("depthwise {:?} {} by {k}x{k}, padded {pad:?}", x.shape, x.dtype),
        [&x.clone(), &kernel.clone()],
        move |rec, [x, kernel]| depthwise(rec, x, kernel, pad, dtype),
        move || oracle::depthwise(&x, &kernel, pad),
    )
}

pub fn cases() -> Vec<Case> {
    let x = |shape: [usize; 4]| Host::random(1, &shape, 1.0);
    vec![
        case(x([2, 6, 5, 8]), 4, (2, 1), F32),
        case(x([1, 6, 5, 7]), 4, (1, 1), F32),
        case(x([1, 4, 4, 1]), 4, (0, 0), F32),
        case(x([1, 5, 3, 8]).to(F16), 3, (1, 1), F16),
        case(Host::random(1, &[1, 5, 3, 4], 65504.0), 3, (3, 0), F16),
    ]
}

pub fn timed(sizes: Sizes) -> impl Iterator<Item = Case> {
    sizes.small(|| [case(Host::random(1, &[1, 64, 64, 96], 1.0), 4, (2, 1), F32)])
}

pub fn refusals() -> Vec<Refusal> {
    let refused = |says, x: &[usize], k: &[usize]| {
        let inputs = [&Host::random(1, x, 1.0), &Host::random(2, k, 1.0)];
        Refusal::new(says, inputs, |rec, [x, kernel]| depthwise(rec, x, kernel, (0, 0), F32))
    };
    vec![
        refused("has no result", &[1, 3, 5, 4], &[4, 4]),
        refused("kernel: K is 3, was 2", &[1, 3, 5, 4], &[2, 3]),
        refused("x: shape [3, 5, 4]", &[3, 5, 4], &[2, 2]),
    ]
}

pub mod oracle {
    use crate::approx::{Approx, sum};
    use crate::host::Host;

    pub fn depthwise(x: &Host, kernel: &Host, pad: (usize, usize)) -> Vec<Approx> {
        let [images, h, w, channels] = x.shape[..] else { panic!("four axes") };
        let k = kernel.cols();
        let (out_h, out_w) = (h + pad.0 + pad.1 + 1 - k, w + pad.0 + pad.1 + 1 - k);
        let element = |i: usize| {
            let (c, col, row, image) = (i % channels, i / channels % out_w, i / channels / out_w % out_h, i / channels / out_w / out_h);
            let term = |tap: usize| {
                let (y, x_) = ((row + tap / k).checked_sub(pad.0)?, (col + tap % k).checked_sub(pad.0)?);
                (y < h && x_ < w).then(|| kernel.at(tap) * x.at(((image * h + y) * w + x_) * channels + c))
            };
            sum((0..k * k).filter_map(term))
        };
        (0..images * out_h * out_w * channels).map(element).collect()
    }
}
