//! EasyCache: how much a prediction is going to change, from how much latents do and by how much it did before when they did.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq)]
pub struct Easy {
    threshold: f64,
    max_consecutive: usize,
}

/// What it knows, of one segment and expert.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// Change of the prediction in parts of that of the latents, between the last two evaluations that were computed.
    rate: Option<f64>,
    /// Mean size of the last prediction that was computed.
    size: f64,
    /// Changes that have added up since.
    sum: f64,
    /// Reused in a row, up to now.
    run: usize,
}

impl Easy {
    pub(super) fn new(threshold: f64, max_consecutive: Option<usize>) -> Self {
        Self { threshold, max_consecutive: max_consecutive.unwrap_or(usize::MAX) }
    }

    /// Whether the next evaluation reuses the last one computed, where latents have changed so much in the mean since the one before.
    pub fn reuses(&self, course: &mut Course, change: f64) -> bool {
        let Some(rate) = course.rate else { return false };
        course.sum += rate * (change / course.size);
        let reuses = course.sum < self.threshold && course.run < self.max_consecutive;
        course.run += usize::from(reuses);
        reuses
    }
}

impl Course {
    /// A prediction of this mean size was computed. `changes` are those of latents and prediction since the one computed before.
    pub fn compute(&mut self, size: f64, changes: Option<(f64, f64)>) {
        let rate = changes.map(|(latents, prediction)| prediction / latents);
        *self = Self { rate: rate.or(self.rate), size, sum: 0.0, run: 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_add_up_to_the_threshold() {
        let (easy, mut course) = (Easy::new(0.5, Some(2)), Course::default());
        assert!(!easy.reuses(&mut course, 0.0), "no rate is known");
        course.compute(2.0, None);
        assert!(!easy.reuses(&mut course, 0.0), "no rate is known of one alone");
        course.compute(4.0, Some((1.0, 2.0)));
        // A rate of 2 and a size of 4: half the change of the latents.
        assert_eq!([0.25, 0.5, 0.25].map(|change| easy.reuses(&mut course, change)), [true, true, false]);
        course.compute(4.0, Some((1.0, 2.0)));
        assert_eq!([0.0; 3].map(|change| easy.reuses(&mut course, change)), [true, true, false], "no more than two in a row");
        course.compute(f64::NAN, Some((1.0, 2.0)));
        assert!(!easy.reuses(&mut course, 1.0));
    }
}
