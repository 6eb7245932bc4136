use wan_animate::DType::{F16, F32};
use wan_animate::unversioned::ops::Activation;
use wan_animate::unversioned::ops::channelwise::channelwise;
use wan_animate::unversioned::ops::finish::Finish;

use super::pool::window;
use crate::case::{Case, Refusal};
use crate::host::{Host, send};
use crate::oracle::channelwise as oracle;
use crate::oracle::conv::Options;

fn case(x: Host, options: Options, dtype: wan_animate::DType) -> Case {
    let (w, window, own) = (Host::random(2, &[3, 2, x.cols()], 1.0), window([3, x.shape[2]]), options.clone());
    Case::new(
        format!("channelwise {:?} {}, {:?}, last {}", x.shape, x.dtype, options.activation, options.activation_last),
        [&x.clone(), &w.clone()],
        move |rec, [x, w]| {
            let (bias, slope, residual) = (send(&own.bias, rec)?, send(&own.slope, rec)?, send(&own.residual, rec)?);
            let (activation, activation_last) = (own.activation, own.activation_last);
            let finish =
                Finish { bias: bias.as_ref(), activation, slope: slope.as_ref(), residual: residual.as_ref(), activation_last };
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
    vec![
        case(x([2, 6, 5, 8]), biased(8, Activation::None), F32),
        case(x([1, 6, 4, 7]), Options::default(), F32),
        case(x([1, 5, 4, 4]), biased(4, Activation::Silu), F32),
        case(x([1, 6, 3, 8]).to(F16), biased(8, Activation::Relu), F16),
        case(x([1, 6, 4, 8]), Options { residual: residual.clone(), slope: slope.clone(), ..biased(8, Activation::None) }, F32),
        case(x([1, 6, 4, 8]), Options { residual, slope, activation_last: true, ..biased(8, Activation::None) }, F32),
        case(x([1, 5, 19, 12]), biased(12, Activation::Relu6), F32),
    ]
}

pub fn refusals() -> Vec<Refusal> {
    let refused = |says, w: &[usize]| {
        let inputs = [&Host::random(1, &[1, 6, 5, 4], 1.0), &Host::random(2, w, 1.0)];
        Refusal::new(says, inputs, |rec, [x, w]| channelwise(rec, x, w, &window([3, 5]), Finish::default(), F32))
    };
    vec![refused("w: C is 3, was 4", &[3, 2, 3]), refused("w: shape [2, 2, 4]", &[2, 2, 4])]
}
