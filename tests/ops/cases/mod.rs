//! The table: for each op a file with its cases, what it must refuse, what sizes of it are timed, and the op again, naively,
//! over [`Approx`](crate::approx::Approx) numbers. The bench takes the same files.

use crate::case::{Case, Refusal, Sizes};

macro_rules! table {
    ($($op:ident)*) => {
        $(pub mod $op;)*

        pub fn cases() -> Vec<Case> {
            [$($op::cases()),*].into_iter().flatten().collect()
        }

        /// Each is made when it is reached, as large ones take much memory.
        pub fn timed(sizes: Sizes) -> impl Iterator<Item = Case> {
            std::iter::empty()$(.chain($op::timed(sizes)))*
        }

        /// The ops' names, each with its cases.
        pub fn by_op() -> Vec<(&'static str, Vec<Case>)> {
            vec![$((stringify!($op), $op::cases())),*]
        }

        pub fn refusals() -> Vec<Refusal> {
            [$($op::refusals()),*].into_iter().flatten().collect()
        }
    };
}

wan_animate::for_each_op!(table);
