use wan_animate::unversioned::dtype::DType::{self, F16, F32};
use wan_animate::unversioned::gpu::Recorder;
use wan_animate::unversioned::ops::Activation;
use wan_animate::unversioned::ops::lincomb::combine;

use crate::case::{Case, Refusal, Sizes, op};
use crate::host::Host;

fn case(terms: Vec<(f64, Host)>, constant: f64, activation: Activation, dtype: DType) -> Case {
    let types: Vec<_> = terms.iter().map(|(_, host)| host.dtype).collect();
    let name = format!("combination of {:?} {types:?}", terms[0].1.shape);
    let terms2 = terms.clone();
    let prepare = move |rec: &mut Recorder| {
        let sent = terms.iter().map(|(factor, host)| Ok((*factor, host.send(rec)?))).collect::<wan_animate::Result<Vec<_>>>()?;
        op(move |rec| {
            let terms: Vec<_> = sent.iter().map(|(factor, tensor)| (*factor, tensor)).collect();
            combine(rec, &terms, constant, activation, dtype)
        })
    };
    Case::prepared(name, prepare, move || oracle::combine(&terms2, constant, activation))
}

fn terms(count: usize, shape: &[usize]) -> Vec<(f64, Host)> {
    (0..count).map(|i| (1.7 - 0.6 * i as f64, Host::random(i as u64, shape, 2.0))).collect()
}

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = (1..=7).map(|count| case(terms(count, &[3, 7, 11]), 0.25, Activation::None, F32)).collect();
    let halves = |count, shape: &[usize]| terms(count, shape).into_iter().map(|(factor, host)| (factor, host.to(F16))).collect::<Vec<_>>();
    let mixed = vec![(0.5, Host::random(1, &[30], 2.0)), (-2.0, Host::random(2, &[30], 2.0).to(F16))];
    let edge = [65503.0, 65504.0, 65519.0, 65520.0, 7e4, 1e30, f32::MAX, 6e-8, 3e-8, 1e-8, 2e-40, 0.0];
    cases.extend([
        case(terms(1, &[5]), 0.0, Activation::None, F16),
        case(halves(1, &[3, 5]), 0.0, Activation::None, F32),
        case(halves(2, &[64]), 0.0, Activation::Silu, F16),
        case(halves(7, &[64]), 0.5, Activation::None, F32),
        case(mixed, 0.0, Activation::None, F32),
        case(vec![(1.0, Host::new(&[2 * edge.len()], |i| edge[i / 2] * (1.0 - 2.0 * (i % 2) as f32)))], 0.0, Activation::None, F16),
        case(terms(2, &[1, 1, 40, 300]), -1.5, Activation::None, F32),
    ]);
    cases
}

pub fn timed(sizes: Sizes) -> impl Iterator<Item = Case> {
    sizes.small(|| [case(terms(3, &Sizes::Small.tokens()), 0.0, Activation::None, F32)])
}

pub fn refusals() -> Vec<Refusal> {
    let refused = |says, terms: Vec<(f64, Host)>| Refusal { says, prepare: case(terms, 0.0, Activation::None, F32).prepare };
    let unequal = vec![(1.0, Host::random(1, &[3], 1.0)), (1.0, Host::random(1, &[4], 1.0))];
    vec![
        refused("8 tensors, at most 7", terms(8, &[3])),
        refused("shapes [3] and [4]", unequal),
        Refusal::new("nothing", [], |rec, []| combine(rec, &[], 0.0, Activation::None, F32)),
        Refusal::new("6 values, 5 were given", [], |rec, []| rec.upload(&[2, 3], &[0.0; 5])),
    ]
}

pub mod oracle {
    use wan_animate::unversioned::ops::Activation;

    use crate::approx::{Approx, sum};
    use crate::cases::activation::oracle::activate;
    use crate::host::Host;

    pub fn combine(terms: &[(f64, Host)], constant: f64, activation: Activation) -> Vec<Approx> {
        let products = |i: usize| terms.iter().map(move |(factor, x)| Approx::rounded(*factor) * x.at(i));
        (0..terms[0].1.values.len()).map(|i| activate(activation, sum(products(i).chain([Approx::rounded(constant)])))).collect()
    }
}
