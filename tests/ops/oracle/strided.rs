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
