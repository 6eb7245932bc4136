//! How fast a device works, for slicing work by time.

use std::sync::{Mutex, PoisonError};

/// Operations a second: a guess, until there is a measurement.
#[derive(Debug)]
pub(crate) struct Rate(Mutex<Estimate>);

#[derive(Clone, Copy, Debug)]
struct Estimate {
    rate: f64,
    is_measured: bool,
}

impl Rate {
    pub(crate) fn guess(rate: f64) -> Self {
        Self(Mutex::new(Estimate { rate, is_measured: false }))
    }

    /// The last measurement, or the guess.
    pub(crate) fn get(&self) -> f64 {
        self.state().rate
    }

    /// [`Rate::get`] once it is more than a guess.
    pub(crate) fn measured(&self) -> Option<f64> {
        let state = self.state();
        state.is_measured.then_some(state.rate)
    }

    /// Moves to a new measurement that is lower, and towards one that is higher, by at most a factor of four at once: what takes too long
    /// may end in a reset, what is too short only costs a little.
    pub(crate) fn observe(&self, measured: f64) {
        let rate = self.get();
        let moved = if measured < rate { measured } else { 0.5 * rate + 0.5 * measured };
        let rate = moved.clamp(rate / 4.0, rate * 4.0).clamp(1e8, 1e15);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Estimate { rate, is_measured: true };
    }

    fn state(&self) -> Estimate {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_falls_at_once_and_rises_slowly() {
        let rate = Rate::guess(1e10);
        assert_eq!(rate.measured(), None);
        rate.observe(2e10);
        assert_eq!(rate.measured(), Some(1.5e10));
        rate.observe(5e9);
        assert_eq!(rate.get(), 5e9);
        rate.observe(1.0);
        assert_eq!(rate.get(), 1.25e9, "by a factor of four at most");
    }
}
