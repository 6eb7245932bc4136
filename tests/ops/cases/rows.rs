use wan_animate::unversioned::dtype::DType::F16;
use wan_animate::unversioned::ops::rows::{Reduction, reduce, softmax};

use crate::case::{Case, Refusal, Sizes};
use crate::host::Host;

fn soft(x: Host) -> Case {
    Case::new(format!("softmax of {:?}", x.shape), [&x.clone()], |rec, [x]| softmax(rec, x), move || oracle::softmax(&x))
}

fn reduced(x: Host, reduction: Reduction) -> Case {
    let name = format!("{reduction:?} of rows of {:?}", x.shape);
    Case::new(name, [&x.clone()], move |rec, [x]| reduce(rec, x, reduction), move || oracle::reduce(&x, reduction))
}

pub fn cases() -> Vec<Case> {
    let x = |shape: [usize; 2], size| Host::random(1, &shape, size);
    let mut cases =
        vec![soft(x([5, 16], 4.0)), soft(x([3, 7], 4.0)), soft(x([2, 1027], 9.0)), soft(x([4, 1], 1.0)), soft(x([2, 300], 200.0))];
    for reduction in [Reduction::Sum, Reduction::Mean, Reduction::Max, Reduction::Min, Reduction::Norm] {
        // All on one side of 0, so that what lanes past the end have would show.
        let shifted =
            |shape: [usize; 2], shift: f32| Host { values: x(shape, 1.0).values.iter().map(|x| x + shift).collect(), ..x(shape, 1.0) };
        cases.extend([reduced(shifted([3, 7], 3.0), reduction), reduced(shifted([5, 300], -3.0), reduction)]);
    }
    cases
}

pub fn timed(sizes: Sizes) -> impl Iterator<Item = Case> {
    sizes.small(|| {
        [soft(Host::random(1, &Sizes::Small.tokens(), 4.0)), reduced(Host::random(1, &Sizes::Small.tokens(), 1.0), Reduction::Mean)]
    })
}

pub fn refusals() -> Vec<Refusal> {
    vec![
        Refusal::new("x: shape [2, 3, 4]", [&Host::random(1, &[2, 3, 4], 1.0)], |rec, [x]| softmax(rec, x)),
        Refusal::new("of the kernel `rows`", [&Host::random(1, &[2, 4], 1.0).to(F16)], |rec, [x]| softmax(rec, x)),
    ]
}

pub mod oracle {
    use wan_animate::unversioned::ops::rows::Reduction;

    use crate::approx::{Approx, row_sum};
    use crate::host::Host;

    fn row(x: &Host, row: usize) -> Vec<Approx> {
        (0..x.cols()).map(|c| x.at(row * x.cols() + c)).collect()
    }

    fn largest(row: &[Approx]) -> Approx {
        *row.iter().max_by(|a, b| a.value.total_cmp(&b.value)).expect("an element")
    }

    pub fn softmax(x: &Host) -> Vec<Approx> {
        let of_row = |number| {
            let row = row(x, number);
            let exps: Vec<_> = row.iter().map(|&value| (value - largest(&row)).exp()).collect();
            let whole = row_sum(exps.iter().copied());
            // The kernel keeps differences above -80, below which e^x is less than 2e-35.
            exps.into_iter().map(|value| (value / whole).widened(2e-35)).collect::<Vec<_>>()
        };
        (0..x.rows()).flat_map(of_row).collect()
    }

    pub fn reduce(x: &Host, reduction: Reduction) -> Vec<Approx> {
        let of_row = |number| {
            let row = row(x, number);
            match reduction {
                Reduction::Sum => row_sum(row),
                Reduction::Mean => row_sum(row) / Approx::exact(x.cols() as f64),
                Reduction::Max => largest(&row),
                Reduction::Min => -largest(&row.into_iter().map(|value| -value).collect::<Vec<_>>()),
                // WGSL: the root is 1 / inverseSqrt.
                Reduction::Norm => Approx::exact(1.0) / row_sum(row.into_iter().map(|value| value * value)).inverse_sqrt(),
            }
        };
        (0..x.rows()).map(of_row).collect()
    }
}
