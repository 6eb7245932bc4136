use wan_animate::unversioned::dtype::DType::{Bf16, F16};
use wan_animate::unversioned::ops::gather::gather;

use crate::case::{Case, Refusal, Sizes, op};
use crate::host::{Host, matrix};

fn case(table: Host, rows: Vec<u32>) -> Case {
    let (table2, rows2) = (table.clone(), rows.clone());
    Case::prepared(
        format!("{} rows of a table of {:?} {}", rows.len(), table.shape, table.dtype),
        move |rec| {
            let (table, rows) = (matrix(&table, rec.device())?, rows.clone());
            op(move |rec| gather(rec, &table, &rows))
        },
        move || oracle::gather(&table2, &rows2),
    )
}

pub fn cases() -> Vec<Case> {
    let table = |rows, cols| Host::random(1, &[rows, cols], 3.0);
    vec![
        case(table(20, 12), vec![3, 0, 19, 19, 7]),
        case(table(20, 7), vec![19, 1, 2]),
        case(table(6, 16).to(F16), vec![5, 0]),
        case(table(6, 16).to(Bf16), vec![5, 0]),
        // More than the smallest device takes in one binding.
        case(table(800, 100), vec![799, 0, 655, 656, 400, 654]),
    ]
}

pub fn timed(sizes: Sizes) -> impl Iterator<Item = Case> {
    sizes.small(|| [case(Host::random(1, &Sizes::Small.tokens(), 3.0).to(Bf16), (0..512).map(|i| i * 7 % 1024).collect())])
}

pub fn refusals() -> Vec<Refusal> {
    vec![Refusal { says: "row 4 of a table of 4", prepare: case(Host::random(1, &[4, 4], 1.0), vec![0, 4]).prepare }]
}

pub mod oracle {
    use crate::approx::Approx;
    use crate::host::Host;

    pub fn gather(table: &Host, rows: &[u32]) -> Vec<Approx> {
        rows.iter().flat_map(|&row| (0..table.cols()).map(move |c| table.at(row as usize * table.cols() + c))).collect()
    }
}
