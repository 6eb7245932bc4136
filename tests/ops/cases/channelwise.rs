use wan_animate::unversioned::dtype::DType::{F16, F32};
use wan_animate::unversioned::ops::Activation;
use wan_animate::unversioned::ops::channelwise::channelwise;

use super::pool::window;
use crate::case::{Case, Refusal};
use crate::host::{Host, send};
use crate::oracle::channelwise as oracle;

fn case(x: Host, has_bias: bool, activation: Activation, dtype: wan_animate::unversioned::dtype::DType) -> Case {
    let channels = x.cols();
    let (w, bias) = (Host::random(2, &[3, 2, channels], 1.0), has_bias.then(|| Host::random(3, &[channels], 1.0)));
    let (window, own) = (window([3, x.shape[2]]), bias.clone());
    Case::new(
        format!("channelwise {:?} {}, bias {has_bias}, {activation:?}", x.shape, x.dtype),
        [&x.clone(), &w.clone()],
        move |rec, [x, w]| {
            let bias = send(&own, rec)?;
            channelwise(rec, x, (w, bias.as_ref()), &window, activation, dtype)
        },
        move || oracle::channelwise(&x, &w, bias.as_ref(), &window, activation),
    )
}

pub fn cases() -> Vec<Case> {
    let x = |shape: [usize; 4]| Host::random(1, &shape, 1.0);
    vec![
        case(x([2, 6, 5, 8]), true, Activation::None, F32),
        case(x([1, 6, 4, 7]), false, Activation::None, F32),
        case(x([1, 5, 4, 4]), true, Activation::Silu, F32),
        case(x([1, 6, 3, 8]).to(F16), true, Activation::Relu, F16),
    ]
}

pub fn refusals() -> Vec<Refusal> {
    let refused = |says, w: &[usize]| {
        let inputs = [&Host::random(1, &[1, 6, 5, 4], 1.0), &Host::random(2, w, 1.0)];
        Refusal::new(says, inputs, |rec, [x, w]| channelwise(rec, x, (w, None), &window([3, 5]), Activation::None, F32))
    };
    vec![refused("w: C is 3, was 4", &[3, 2, 3]), refused("w: shape [2, 2, 4]", &[2, 2, 4])]
}
