use wan_animate::unversioned::dtype::DType::{self, F16, F32};
use wan_animate::unversioned::ops::permute::permute;

use crate::case::{Case, Refusal, Sizes};
use crate::host::Host;

fn case(x: Host, axes: &'static [usize], dtype: DType) -> Case {
    Case::new(
        format!("permutation of {:?} {} to {axes:?}", x.shape, x.dtype),
        [&x.clone()],
        move |rec, [x]| permute(rec, x, axes, dtype),
        move || oracle::permute(&x, axes),
    )
}

pub fn cases() -> Vec<Case> {
    let x = |shape: &[usize]| Host::random(1, shape, 1.0);
    vec![
        case(x(&[9]), &[0], F32),
        case(x(&[7, 13]), &[1, 0], F32),
        case(x(&[3, 4, 5]), &[2, 0, 1], F32),
        case(x(&[2, 3, 4, 5]), &[1, 2, 3, 0], F32),
        case(x(&[2, 3, 4, 5, 6]), &[0, 4, 1, 3, 2], F32),
        case(x(&[2, 3, 2, 5, 2, 3]), &[1, 3, 5, 0, 2, 4], F32),
        case(x(&[3, 5, 7]).to(F16), &[1, 2, 0], F16),
        case(x(&[6, 4]).to(F16), &[1, 0], F32),
        case(Host::new(&[4, 3], |i| [65504.0, -65504.0, f32::MAX][i % 3]), &[1, 0], F16),
    ]
}

pub fn timed(sizes: Sizes) -> impl Iterator<Item = Case> {
    sizes.small(|| [case(Host::random(1, &[64, 48, 512], 1.0), &[1, 2, 0], F32)])
}

pub fn refusals() -> Vec<Refusal> {
    let refused = |says, shape: &[usize], axes| Refusal { says, prepare: case(Host::random(1, shape, 1.0), axes, F32).prepare };
    vec![
        refused("axes [0, 0] are no order", &[2, 3], &[0, 0]),
        refused("axes [0] are no order", &[2, 3], &[0]),
        refused("axes [0, 2] are no order", &[2, 3], &[0, 2]),
        refused("are no order", &[1; 7], &[0, 1, 2, 3, 4, 5, 6]),
    ]
}

pub mod oracle {
    use crate::approx::Approx;
    use crate::host::Host;

    pub fn permute(x: &Host, axes: &[usize]) -> Vec<Approx> {
        let element = |mut i: usize| {
            // The index along each axis of x, from the last axis of the result to its first.
            let mut index = vec![0; axes.len()];
            for &axis in axes.iter().rev() {
                index[axis] = i % x.shape[axis];
                i /= x.shape[axis];
            }
            x.at(index.iter().zip(&x.shape).fold(0, |at, (index, size)| at * size + index))
        };
        (0..x.values.len()).map(element).collect()
    }
}
