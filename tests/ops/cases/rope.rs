use wan_animate::DType::{self, F16, F32};
use wan_animate::unversioned::ops::rope::rope;

use crate::case::{Case, Refusal};
use crate::host::Host;
use crate::oracle::rope as oracle;

fn case(x: Host, dim: usize, dtype: DType) -> Case {
    let (cos, sin) = (Host::random(2, &[x.rows(), dim / 2], 1.0), Host::random(3, &[x.rows(), dim / 2], 1.0));
    Case::new(
        format!("rope {:?} {}, heads of {dim}", x.shape, x.dtype),
        [&x.clone(), &cos.clone(), &sin.clone()],
        move |rec, [x, cos, sin]| rope(rec, x, cos, sin, dtype),
        move || oracle::rope(&x, &cos, &sin),
    )
}

pub fn cases() -> Vec<Case> {
    let x = |rows, cols| Host::random(1, &[rows, cols], 1.0);
    vec![
        case(x(9, 128), 64, F32),
        case(x(9, 30), 10, F32),
        case(x(70, 2), 2, F32),
        case(x(5, 12), 6, F32),
        case(x(9, 64).to(F16), 16, F16),
        case(Host::random(1, &[5, 64], 65504.0), 16, F16),
    ]
}

pub fn refusals() -> Vec<Refusal> {
    let refused = |says, cols: usize, cos: &[usize], sin: &[usize]| {
        let inputs = [&Host::random(1, &[3, cols], 1.0), &Host::random(2, cos, 1.0), &Host::random(3, sin, 1.0)];
        Refusal::new(says, inputs, |rec, [x, cos, sin]| rope(rec, x, cos, sin, F32))
    };
    vec![
        refused("cos: L is 4, was 3", 8, &[4, 2], &[4, 2]),
        refused("sin: D/2 is 4, was 2", 8, &[3, 2], &[3, 4]),
        refused("no multiple of the head's 6", 8, &[3, 3], &[3, 3]),
    ]
}
