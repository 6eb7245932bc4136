//! Failures on demand, for tests of how they are survived.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

/// Counts a device's allocations, and which of them are to fail.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Counter>);

#[derive(Debug, Default)]
struct Counter {
    allocations: u64,
    failing: Range<u64>,
}

impl Faults {
    /// Counts one allocation; an error where it is to fail.
    pub(crate) fn allocate(&self, what: &str) -> Result<()> {
        let mut counter = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = counter.allocations;
        counter.allocations += 1;
        match counter.failing.contains(&number) {
            true => Err(Error::limits(format!("the GPU is out of memory while {what} (allocation {number}, as a test wanted)"))),
            false => Ok(()),
        }
    }

    /// Counts from 0 again, with these failing. Returns how many there have been since the last call.
    pub(crate) fn fail(&self, numbers: Range<u64>) -> u64 {
        let mut counter = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *counter, Counter { allocations: 0, failing: numbers }).allocations
    }
}
