//! How long is left.

use std::time::Duration;

/// How long evaluations take.
#[derive(Default)]
pub(crate) struct Pace {
    done: u32,
    elapsed: Duration,
}

impl Pace {
    /// Counts one that took so long, and tells how long as many as are `left` will take.
    pub fn remaining(&mut self, elapsed: Duration, left: usize) -> Duration {
        self.done += 1;
        self.elapsed += elapsed;
        self.elapsed.mul_f64(left as f64 / f64::from(self.done))
    }
}
