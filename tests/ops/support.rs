//! Which kernels an adapter runs each op by.

use std::collections::BTreeSet;

use wan_animate::{Device, Family};

use crate::approx::Approx;
use crate::case::Case;
use crate::{cases, checked_device, run};

/// `make support` prints it: a line an op with the kernels that its cases dispatch in each family, and how many of the cases are right.
#[test]
#[ignore = "prints a table for people"]
fn a_support_matrix_is_printed() {
    let families = checked_device().families();
    println!("{}\n{:<12} {:<7} {:>9}  kernels", checked_device().adapter(), "op", "family", "right");
    for (op, cases) in cases::by_op() {
        let cases: Vec<_> = cases.into_iter().map(|case| ((case.oracle)(), case)).collect();
        for &family in &families {
            let (right, kernels) = support(family, &cases);
            println!(
                "{op:<12} {:<7} {right:>4}/{:<4}  {}",
                family.to_string(),
                cases.len(),
                kernels.into_iter().collect::<Vec<_>>().join(" ")
            );
        }
    }
}

/// The cases that are right, and the kernels that have run.
fn support(family: Family, cases: &[(Vec<Approx>, Case)]) -> (usize, BTreeSet<&'static str>) {
    let device = Device::builder().shader_checks(true).family(family).build().expect("a device");
    let right = cases.iter().filter(|(exact, case)| case.fault(&run(&device, case, 0), exact).is_none()).count();
    (right, device.compiled().into_iter().map(|key| key.kernel).collect())
}
