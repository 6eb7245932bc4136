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
