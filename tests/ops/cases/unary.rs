use wan_animate::unversioned::ops::unary::{Function, unary};

use crate::case::Case;
use crate::host::Host;
use crate::oracle::unary as oracle;

fn case(x: Host, function: Function) -> Case {
    Case::new(
        format!("{function:?} of {:?}", x.shape),
        [&x.clone()],
        move |rec, [x]| unary(rec, x, function),
        move || oracle::unary(&x, function),
    )
}

pub fn cases() -> Vec<Case> {
    let any = || Host::random(1, &[3, 7], 9.0);
    let positive = || Host::new(&[70], |i| 0.01 + i as f32);
    let functions = [
        Function::Tanh,
        Function::Exp,
        Function::Erf,
        Function::Softplus,
        Function::Mish,
        Function::Abs,
        Function::Clip(-1.5, 6.0),
        Function::LeakyRelu(0.1),
        Function::HardSigmoid(1.0 / 6.0, 0.5),
        Function::Affine(-2.0, 0.25),
    ];
    let of_positive = [Function::Sqrt, Function::Reciprocal].map(|function| case(positive(), function));
    functions
        .map(|function| case(any(), function))
        .into_iter()
        .chain(of_positive)
        .chain([case(Host::random(2, &[300], 80.0), Function::Tanh)])
        .collect()
}
