use wan_animate::unversioned::dtype::DType::{self, F16, F32};
use wan_animate::unversioned::ops::Activation;
use wan_animate::unversioned::ops::channelwise::channelwise;
use wan_animate::unversioned::ops::finish::Finish;
use wan_animate::unversioned::ops::window::Window;

use super::conv::oracle::Options;
use super::pool::window;
use crate::case::{Case, Refusal, Sizes};
use crate::host::{Host, send};

fn case(x: Host, options: Options, dtype: DType) -> Case {
    let window = window([3, x.shape[2]]);
    case_of(x, window, options, [F32, dtype])
}

/// With kernels of as many rows as columns.
fn square(x: Host, kernel: usize, stride: usize, pad: (usize, usize)) -> Case {
    let places = [1, 2].map(|axis| (x.shape[axis] + pad.0 + pad.1 - kernel) / stride + 1);
    let options = Options { bias: Some(Host::random(3, &[x.cols()], 1.0)), ..Options::default() };
    case_of(x, Window { kernel: [kernel; 2], stride: [stride; 2], pad: [pad; 2], places }, options, [F32; 2])
}

/// With kernels of 3x3 and an image as large as x.
fn even(x: Host, options: Options, types: [DType; 2]) -> Case {
    let window = Window { kernel: [3; 2], stride: [1; 2], pad: [(1, 1); 2], places: [x.shape[1], x.shape[2]] };
    case_of(x, window, options, types)
}

fn case_of(x: Host, window: Window, options: Options, [weights, dtype]: [DType; 2]) -> Case {
    let (w, own) = (Host::random(2, &[window.kernel[0], window.kernel[1], x.cols()], 1.0).to(weights), options.clone());
    Case::new(
        format!("channelwise {:?} {} by {window:?}, {:?}, last {}", x.shape, x.dtype, options.activation, options.activation_last),
        [&x.clone(), &w.clone()],
        move |rec, [x, w]| {
            let (bias, slope, residual) = (send(&own.bias, rec)?, send(&own.slope, rec)?, send(&own.residual, rec)?);
            let (activation, activation_last) = (own.activation, own.activation_last);
            let finish = Finish { bias: bias.as_ref(), activation, slope: slope.as_ref(), residual: residual.as_ref(), activation_last };
            channelwise(rec, x, w, &window, finish, dtype)
        },
        move || oracle::channelwise(&x, &w, &window, &options),
    )
}

pub fn cases() -> Vec<Case> {
    let x = |shape: [usize; 4]| Host::random(1, &shape, 1.0);
    let biased = |channels: usize, activation| Options { bias: Some(Host::random(3, &[channels], 1.0)), activation, ..Options::default() };
    let residual = Some(Host::random(4, &[1, 3, 4, 8], 1.0));
    let slope = Some(Host::random(5, &[8], 1.0));
    let of_seven =
        Options { residual: Some(Host::random(4, &[1, 3, 4, 7], 1.0)), slope: Some(Host::random(5, &[7], 1.0)), ..Options::default() };
    let halves = Options { residual: Some(Host::random(4, &[1, 3, 4, 8], 1.0).to(F16)), ..Options::default() };
    let mut cases = vec![
        case(x([2, 6, 5, 8]), biased(8, Activation::None), F32),
        case(x([1, 6, 4, 7]), Options::default(), F32),
        case(x([1, 5, 4, 4]), biased(4, Activation::Silu), F32),
        case(x([1, 6, 3, 8]).to(F16), biased(8, Activation::Relu), F16),
        case(x([1, 6, 4, 8]), Options { residual: residual.clone(), slope: slope.clone(), ..biased(8, Activation::None) }, F32),
        case(x([1, 6, 4, 8]), Options { residual, slope, activation_last: true, ..biased(8, Activation::None) }, F32),
        case(x([1, 5, 19, 12]), biased(12, Activation::Relu6), F32),
        square(x([2, 7, 17, 8]), 3, 1, (1, 1)),
        square(x([1, 11, 9, 6]), 3, 2, (0, 1)),
        square(x([1, 6, 10, 4]), 5, 1, (2, 2)),
        square(x([1, 13, 16, 4]), 5, 2, (1, 2)),
        square(x([1, 4, 4, 4]), 4, 1, (1, 2)),
        square(x([2, 35, 5, 8]), 3, 1, (1, 1)),
        square(x([2, 37, 6, 4]), 5, 2, (2, 2)),
        square(x([1, 3, 4, 8]), 5, 1, (2, 2)),
        even(
            x([1, 5, 6, 7]),
            Options { slope: Some(Host::random(5, &[7], 1.0)), residual: Some(Host::random(4, &[1, 5, 6, 7], 1.0)), ..Options::default() },
            [F32, F32],
        ),
        even(
            x([1, 5, 6, 8]).to(F16),
            Options { slope: Some(Host::random(5, &[8], 1.0)), residual: Some(Host::random(4, &[1, 5, 6, 8], 1.0)), ..Options::default() },
            [F16, F16],
        ),
        even(
            x([1, 4, 9, 8]),
            Options { residual: Some(Host::random(4, &[1, 4, 9, 8], 1.0).to(F16)), activation_last: true, ..biased(8, Activation::Relu6) },
            [F32, F32],
        ),
        case(x([1, 6, 4, 7]), of_seven, F32),
        case_of(x([1, 6, 4, 8]), window([3, 4]), halves, [F16, F32]),
    ];
    cases.extend(Activation::ALL.map(|activation| case(x([1, 6, 4, 8]), biased(8, activation), F32)));
    cases.extend(Activation::ALL.map(|activation| even(x([1, 4, 5, 8]), biased(8, activation), [F32, F32])));
    cases
}

pub fn timed(sizes: Sizes) -> impl Iterator<Item = Case> {
    let of = |kernel: usize| {
        let name = format!("channelwise of [1, 64, 64, 96] by {kernel}x{kernel}");
        square(Host::random(1, &[1, 64, 64, 96], 1.0), kernel, 1, (kernel / 2, kernel / 2)).named(name)
    };
    sizes.small(move || [3, 5].map(of))
}

pub fn refusals() -> Vec<Refusal> {
    let refused = |says, w: &[usize]| {
        let inputs = [&Host::random(1, &[1, 6, 5, 4], 1.0), &Host::random(2, w, 1.0)];
        Refusal::new(says, inputs, |rec, [x, w]| channelwise(rec, x, w, &window([3, 5]), Finish::default(), F32))
    };
    vec![refused("w: C is 3, was 4", &[3, 2, 3]), refused("w: shape [2, 2, 4]", &[2, 2, 4])]
}

pub mod oracle {
    use wan_animate::unversioned::ops::window::Window;

    use crate::approx::{Approx, sum};
    use crate::cases::conv::oracle::{Options, finish};
    use crate::cases::pool::oracle::windows;
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
}
