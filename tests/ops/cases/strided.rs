use wan_animate::unversioned::ops::strided::{View, strided};

use crate::case::{Case, Refusal, Sizes};
use crate::host::Host;

fn view(offset: usize, strides: &[isize]) -> View {
    View { offset, strides: strides.to_vec() }
}

fn case(x: &[usize], shape: &'static [usize], from: View, to: View, out: &'static [usize]) -> Case {
    let x = Host::random(1, x, 1.0);
    let (own, other) = (from.clone(), to.clone());
    Case::new(
        format!("copy {shape:?} from {from:?} to {to:?}"),
        [&x.clone(), &Host::new(out, |_| 1.0)],
        move |rec, [x, out]| strided(rec, shape, (x, &own), (out, &other)).map(|()| out.clone()),
        move || oracle::strided(&x, shape, &from, &to, out.iter().product()),
    )
}

pub fn cases() -> Vec<Case> {
    vec![
        // Part of the last axis, and put into another part.
        case(&[4, 6], &[4, 3], view(2, &[6, 1]), view(1, &[5, 1]), &[4, 5]),
        // The same in vec4s.
        case(&[4, 8], &[4, 4], view(4, &[8, 1]), view(8, &[12, 1]), &[5, 12]),
        // Backwards, every second.
        case(&[9], &[4], view(8, &[-2]), view(0, &[1]), &[4]),
        // Again and again.
        case(&[3, 2], &[2, 3, 4, 2], view(0, &[0, 2, 0, 1]), view(0, &[24, 8, 2, 1]), &[2, 12, 2]),
        // Turned, and six axes that are none in another.
        case(&[2, 3, 2, 3, 2, 3], &[3, 2, 3, 2, 3, 2], view(0, &[1, 3, 6, 18, 36, 108]), view(0, &[72, 36, 12, 6, 2, 1]), &[216]),
    ]
}

pub fn timed(sizes: Sizes) -> impl Iterator<Item = Case> {
    sizes.small(|| {
        [case(&[1024, 1536], &[1024, 768], view(0, &[1536, 1]), view(0, &[768, 1]), &[1024, 768]).named("copy half of [1024, 1536]")]
    })
}

pub fn refusals() -> Vec<Refusal> {
    let refused = |from: View, to: View| {
        let inputs = [&Host::random(1, &[8], 1.0), &Host::random(2, &[8], 1.0)];
        Refusal::new("views of shape [4]", inputs, move |rec, [x, out]| strided(rec, &[4], (x, &from), (out, &to)).map(|()| out.clone()))
    };
    vec![refused(view(5, &[1]), view(0, &[1])), refused(view(0, &[1]), view(2, &[2])), refused(view(2, &[-1]), view(0, &[1]))]
}

pub mod oracle {
    use wan_animate::unversioned::ops::strided::View;

    use crate::approx::Approx;
    use crate::host::Host;

    /// `len` ones with the elements of a view of x put into those of another view.
    pub fn strided(x: &Host, shape: &[usize], from: &View, to: &View, len: usize) -> Vec<Approx> {
        let mut out = vec![Approx::exact(1.0); len];
        for number in 0..shape.iter().product::<usize>() {
            let place = |view: &View| {
                let mut rest = number;
                let steps = shape.iter().zip(&view.strides).rev().map(|(&extent, &stride)| {
                    let index = rest % extent;
                    rest /= extent;
                    index as isize * stride
                });
                (view.offset as isize + steps.sum::<isize>()) as usize
            };
            out[place(to)] = x.at(place(from));
        }
        out
    }
}
