use wan_animate::unversioned::ops::binary::{Function, binary};

use crate::case::{Case, Refusal, Sizes};
use crate::host::Host;

fn case(a: &[usize], b: &[usize], function: Function) -> Case {
    let a = Host::random(1, a, 4.0);
    // Divisors stay away from 0.
    let b = Host { values: Host::random(2, b, 3.0).values.iter().map(|value| value + value.signum()).collect(), ..Host::random(2, b, 3.0) };
    Case::new(
        format!("{function:?} of {:?} and {:?}", a.shape, b.shape),
        [&a.clone(), &b.clone()],
        move |rec, [a, b]| binary(rec, a, b, function),
        move || oracle::binary(&a, &b, function),
    )
}

pub fn cases() -> Vec<Case> {
    use Function::{Add, Div, Leaky, Max, Min, Mul, Sub};
    let alike = [Add, Sub, Mul, Div, Min, Max, Leaky].map(|function| case(&[5, 7], &[5, 7], function));
    let stretched = [
        case(&[2, 3, 4, 5], &[5], Add),
        case(&[2, 3, 4, 5], &[3, 1, 1], Leaky),
        case(&[1], &[3, 70], Sub),
        case(&[4, 1, 3], &[2, 1], Div),
        case(&[2, 1, 3, 1, 2, 1], &[1, 2, 1, 3, 1, 2], Mul),
        case(&[3, 4, 1], &[3, 1, 6], Max),
        case(&[3, 5, 8], &[8], Sub),
        case(&[3, 5, 8], &[5, 1], Leaky),
        case(&[1], &[3, 60], Div),
    ];
    alike.into_iter().chain(stretched).collect()
}

pub fn timed(sizes: Sizes) -> impl Iterator<Item = Case> {
    sizes.small(|| {
        [case(&Sizes::Small.tokens(), &Sizes::Small.tokens(), Function::Add), case(&Sizes::Small.tokens(), &[1536], Function::Mul)]
    })
}

pub fn refusals() -> Vec<Refusal> {
    let refused = |says, a: &[usize], b: &[usize]| {
        Refusal::new(says, [&Host::random(1, a, 1.0), &Host::random(2, b, 1.0)], |rec, [a, b]| binary(rec, a, b, Function::Add))
    };
    vec![refused("do not broadcast", &[3, 4], &[3]), refused("a walk along 8 axes", &[2, 1, 2, 1, 2, 1, 2, 1], &[1, 2, 1, 2, 1, 2, 1, 2])]
}

pub mod oracle {
    use wan_animate::unversioned::ops::binary::Function;

    use crate::approx::Approx;
    use crate::host::Host;

    pub fn binary(a: &Host, b: &Host, function: Function) -> Vec<Approx> {
        let rank = a.shape.len().max(b.shape.len());
        let extent = |host: &Host, axis: usize| (axis + host.shape.len()).checked_sub(rank).map_or(1, |own| host.shape[own]);
        let shape: Vec<_> = (0..rank).map(|axis| extent(a, axis).max(extent(b, axis))).collect();
        // The element of a tensor that an element of the result is made of.
        let at = |host: &Host, number: usize| {
            let (mut rest, mut place, mut step) = (number, 0, 1);
            for axis in (0..rank).rev() {
                place += (rest % shape[axis]) % extent(host, axis) * step;
                step *= extent(host, axis);
                rest /= shape[axis];
            }
            host.at(place)
        };
        (0..shape.iter().product()).map(|number| apply(function, at(a, number), at(b, number))).collect()
    }

    fn apply(function: Function, a: Approx, b: Approx) -> Approx {
        match function {
            Function::Add => a + b,
            Function::Sub => a - b,
            Function::Mul => a * b,
            Function::Div => a / b,
            Function::Min => {
                if a.value < b.value {
                    a
                } else {
                    b
                }
            }
            Function::Max => {
                if a.value > b.value {
                    a
                } else {
                    b
                }
            }
            Function::Leaky => {
                if a.value < 0.0 {
                    a * b
                } else {
                    a
                }
            }
        }
    }
}
