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
