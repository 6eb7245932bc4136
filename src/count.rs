//! Numbers of things in messages.

use std::fmt::Display;

/// `1 frame`, `2 frames`.
pub(crate) fn count<N: Display + PartialEq + From<u8>>(number: N, thing: &str) -> String {
    let plural = if number == N::from(1) { "" } else { "s" };
    format!("{number} {thing}{plural}")
}
