use wan_animate::unversioned::dtype::DType::{self, F16, F32};
use wan_animate::unversioned::ops::norm_rope::Rotation;
use wan_animate::unversioned::ops::rope::rope;

use crate::case::{Case, Refusal, Sizes};
use crate::host::Host;

fn case(x: Host, places: usize, turned: usize, dtype: DType) -> Case {
    let [cos, sin] = [2, 3].map(|seed| Host::random(seed, &[places, x.cols() / 2], 1.0));
    Case::new(
        format!("rope {:?} {}, {turned} rows at {places} places", x.shape, x.dtype),
        [&x.clone(), &cos.clone(), &sin.clone()],
        move |rec, [x, cos, sin]| rope(rec, x, Rotation { cos, sin }, turned, dtype),
        move || oracle::rope(&x, &cos, &sin, turned),
    )
}

pub fn cases() -> Vec<Case> {
    let x = |rows, cols| Host::random(1, &[rows, cols], 1.0);
    vec![case(x(9, 128), 9, 9, F32), case(x(14, 12), 6, 12, F32), case(x(7, 4), 3, 0, F32), case(x(10, 256).to(F16), 4, 8, F16)]
}

pub fn timed(sizes: Sizes) -> impl Iterator<Item = Case> {
    sizes.small(|| [case(Host::random(1, &[1024, 256], 1.0).to(F16), 1024, 1024, F16)])
}

pub fn refusals() -> Vec<Refusal> {
    let refused = |says, cols: usize, angles: &[usize], turned| {
        let inputs = [&Host::random(1, &[3, cols], 1.0), &Host::random(2, angles, 1.0), &Host::random(3, angles, 1.0)];
        Refusal::new(says, inputs, move |rec, [x, cos, sin]| rope(rec, x, Rotation { cos, sin }, turned, F32))
    };
    vec![refused("4 of 3 rows of 8", 8, &[3, 4], 4), refused("3 of 3 rows of 6", 6, &[3, 3], 3), refused("3 of 3 rows of 8", 8, &[3, 2], 3)]
}

pub mod oracle {
    use crate::approx::Approx;
    use crate::host::Host;

    pub fn rope(x: &Host, cos: &Host, sin: &Host, turned: usize) -> Vec<Approx> {
        let (cols, half) = (x.cols(), cos.cols());
        let element = |i: usize| {
            let (row, pair) = (i / cols, i % cols / 2);
            if row >= turned {
                return x.at(i);
            }
            let angle = row % cos.rows() * half + pair;
            let (c, s) = (cos.at(angle), sin.at(angle));
            let (a, b) = (x.at(row * cols + 2 * pair), x.at(row * cols + 2 * pair + 1));
            if (i % cols).is_multiple_of(2) { a * c - b * s } else { a * s + b * c }
        };
        (0..x.values.len()).map(element).collect()
    }
}
