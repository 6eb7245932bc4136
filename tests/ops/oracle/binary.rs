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
