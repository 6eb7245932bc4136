use wan_animate::unversioned::dtype::DType::{F16, F32};
use wan_animate::unversioned::ops::pool::{Pool, pool};
use wan_animate::unversioned::ops::window::Window;

use crate::case::{Case, Refusal, Sizes};
use crate::host::Host;

/// Windows with uneven sides, steps and paddings, and one that ends beyond the padding.
pub fn window(places: [usize; 2]) -> Window {
    Window { kernel: [3, 2], stride: [2, 1], pad: [(1, 0), (0, 1)], places }
}

fn case(x: Host, what: Pool, window: Window, dtype: wan_animate::unversioned::dtype::DType) -> Case {
    Case::new(
        format!("pool {what:?} of {:?} {} by {window:?}", x.shape, x.dtype),
        [&x.clone()],
        move |rec, [x]| pool(rec, x, what, &window, dtype),
        move || oracle::pool(&x, what, &window),
    )
}

pub fn cases() -> Vec<Case> {
    let x = |shape: [usize; 4]| Host::random(1, &shape, 1.0);
    let wide = Window { kernel: [5, 5], stride: [1, 1], pad: [(2, 2), (2, 2)], places: [4, 3] };
    let mut cases = vec![case(x([1, 4, 3, 8]).to(F16), Pool::Max, wide, F16), case(x([1, 4, 3, 4]), Pool::Mean, wide, F16)];
    for what in [Pool::Max, Pool::Mean, Pool::MeanWithPads] {
        cases.extend([case(x([2, 6, 5, 8]), what, window([3, 5]), F32), case(x([1, 6, 5, 3]), what, window([4, 5]), F32)]);
    }
    cases
}

pub fn timed(sizes: Sizes) -> impl Iterator<Item = Case> {
    sizes.small(|| {
        let places = Window { kernel: [2, 2], stride: [2, 2], pad: [(0, 0); 2], places: [64, 64] };
        [case(Host::random(1, &[1, 128, 128, 96], 1.0), Pool::Max, places, F32).named("pool Max of [1, 128, 128, 96] by 2x2")]
    })
}

pub fn refusals() -> Vec<Refusal> {
    let refused = |says, window: Window| {
        Refusal::new(says, [&Host::random(1, &[1, 4, 4, 4], 1.0)], move |rec, [x]| pool(rec, x, Pool::Max, &window, F32))
    };
    let sound = Window { kernel: [2, 2], stride: [1, 1], pad: [(0, 0), (0, 0)], places: [3, 3] };
    vec![
        refused("over 4x4 pixels", Window { places: [5, 3], ..sound }),
        refused("over 4x4 pixels", Window { stride: [0, 1], ..sound }),
        refused("over 4x4 pixels", Window { places: [3, 0], ..sound }),
    ]
}

pub mod oracle {
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
}
