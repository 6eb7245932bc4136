use wan_animate::unversioned::dtype::DType::{self, F16, F32};
use wan_animate::unversioned::ops::Activation;
use wan_animate::unversioned::ops::elementwise::gated;

use crate::case::{Case, Refusal, Sizes};
use crate::host::Host;

fn case(a: Host, activation: Activation, b: Host, dtype: DType) -> Case {
    Case::new(
        format!("product of {:?} {} ({activation:?}) and {}", a.shape, a.dtype, b.dtype),
        [&a.clone(), &b.clone()],
        move |rec, [a, b]| gated(rec, a, activation, b, dtype),
        move || oracle::gated(&a, activation, &b),
    )
}

pub fn cases() -> Vec<Case> {
    let (a, b) = (|shape: &[usize]| Host::random(1, shape, 5.0), |shape: &[usize]| Host::random(2, shape, 5.0));
    let mut cases = vec![
        case(a(&[3, 7, 13]), Activation::GeluTanh, b(&[3, 7, 13]), F32),
        case(a(&[300]).to(F16), Activation::None, b(&[300]).to(F16), F16),
        case(Host::random(1, &[64], 300.0), Activation::None, Host::random(2, &[64], 300.0), F16),
    ];
    cases.extend(Activation::ALL.map(|activation| case(a(&[30]), activation, b(&[30]), F32)));
    cases
}

pub fn timed(sizes: Sizes) -> impl Iterator<Item = Case> {
    sizes.small(|| {
        let [a, b] = [1, 2].map(|seed| Host::random(seed, &Sizes::Small.tokens(), 5.0).to(F16));
        [case(a, Activation::GeluTanh, b, F16)]
    })
}

pub fn refusals() -> Vec<Refusal> {
    let (a, b) = (Host::random(1, &[3, 4], 1.0), Host::random(1, &[4, 3], 1.0));
    vec![Refusal { says: "shapes [3, 4] and [4, 3]", prepare: case(a, Activation::None, b, F32).prepare }]
}

pub mod oracle {
    use wan_animate::unversioned::ops::Activation;

    use crate::approx::Approx;
    use crate::cases::activation::oracle::activate;
    use crate::host::Host;

    pub fn gated(a: &Host, activation: Activation, b: &Host) -> Vec<Approx> {
        (0..a.values.len()).map(|i| activate(activation, a.at(i)) * b.at(i)).collect()
    }
}
