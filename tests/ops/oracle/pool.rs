use wan_animate::unversioned::ops::pool::Pool;
use wan_animate::unversioned::ops::window::Window;

use crate::approx::{Approx, sum};
use crate::host::Host;

/// For each element of the result, those of the image [B, H, W, C] that its window covers, with the number of the tap, and how many elements it has with
/// the padding.
pub fn windows(shape: &[usize], window: &Window) -> Vec<(Vec<(usize, usize)>, usize)> {
    let [images, h, w, channels] = shape[..] else { panic!("four axes") };
    let ([k_h, k_w], [out_h, out_w]) = (window.kernel, window.places);
    let element = |i: usize| {
        let (c, left, top, image) = (i % channels, i / channels % out_w, i / channels / out_w % out_h, i / channels / out_w / out_h);
        let (top, left) = (top * window.stride[0], left * window.stride[1]);
        let place = |tap: usize| {
            let y = (top + tap / k_w).checked_sub(window.pad[0].0).filter(|&y| y < h)?;
            let x = (left + tap % k_w).checked_sub(window.pad[1].0).filter(|&x| x < w)?;
            Some((tap, ((image * h + y) * w + x) * channels + c))
        };
        let end = |axis: usize, extent| window.pad[axis].0 + extent + window.pad[axis].1;
        let padded = (k_h.min(end(0, h) - top)) * (k_w.min(end(1, w) - left));
        ((0..k_h * k_w).filter_map(place).collect(), padded)
    };
    (0..images * out_h * out_w * channels).map(element).collect()
}

pub fn pool(x: &Host, pool: Pool, window: &Window) -> Vec<Approx> {
    let result = |(covered, padded): (Vec<(usize, usize)>, usize)| {
        let values = covered.iter().map(|&(_, place)| x.at(place));
        match pool {
            Pool::Max => values.max_by(|a, b| a.value.total_cmp(&b.value)).expect("a place in the image"),
            Pool::Mean => sum(values) / Approx::exact(covered.len() as f64),
            Pool::MeanWithPads => sum(values) / Approx::exact(padded as f64),
        }
    };
    windows(&x.shape, window).into_iter().map(result).collect()
}
