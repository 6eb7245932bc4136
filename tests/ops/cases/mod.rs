//! The table: for each op a file with its cases, what it must refuse, and the op again, naively, over [`Approx`](crate::approx::Approx) numbers.

use crate::case::{Case, Refusal};

macro_rules! table {
    ($($op:ident)*) => {
        $(pub mod $op;)*

        pub fn cases() -> Vec<Case> {
            [$($op::cases()),*].into_iter().flatten().collect()
        }

        pub fn refusals() -> Vec<Refusal> {
            [$($op::refusals()),*].into_iter().flatten().collect()
        }
    };
}

wan_animate::for_each_op!(table);
