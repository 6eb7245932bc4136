//! How long is left.

use std::time::Duration;

/// What stages beside denoising take, in steps: from the operations of a plan, until they are measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weights {
    /// Of one segment.
    pub conditioning: f64,
    /// Of one segment.
    pub decoding: f64,
}

/// What is left of a generation beside what is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Left {
    pub steps: usize,
    /// Whole ones, and parts of one.
    pub conditionings: f64,
    /// The same.
    pub decodings: f64,
}

/// How long things take.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    weights: Weights,
    step: Mean,
    conditioning: Mean,
    decoding: Mean,
}

#[derive(Debug, Default)]
struct Mean {
    count: f64,
    sum: Duration,
}

impl Mean {
    fn add(&mut self, count: f64, elapsed: Duration) {
        self.count += count;
        self.sum += elapsed;
    }

    fn get(&self) -> Option<Duration> {
        (self.count > 0.0).then(|| self.sum.div_f64(self.count))
    }
}

impl Pace {
    pub fn new(weights: Weights) -> Self {
        Self { weights, ..Self::default() }
    }

    /// A step took so long.
    pub fn step(&mut self, elapsed: Duration) {
        self.step.add(1.0, elapsed);
    }

    /// A part of a segment's conditioning took so long.
    pub fn conditioning(&mut self, part: f64, elapsed: Duration) {
        self.conditioning.add(part, elapsed);
    }

    /// A part of a segment's decoding took so long.
    pub fn decoding(&mut self, part: f64, elapsed: Duration) {
        self.decoding.add(part, elapsed);
    }

    /// How long the rest will take; none before a step.
    pub fn remaining(&self, left: Left) -> Option<Duration> {
        let step = self.step.get()?;
        let conditioning = self.conditioning.get().unwrap_or(step.mul_f64(self.weights.conditioning));
        let decoding = self.decoding.get().unwrap_or(step.mul_f64(self.weights.decoding));
        Some(step.mul_f64(left.steps as f64) + conditioning.mul_f64(left.conditionings) + decoding.mul_f64(left.decodings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_hold_until_there_is_a_measurement() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(Weights { conditioning: 0.5, decoding: 2.0 });
        let left = Left { steps: 3, conditionings: 2.0, decodings: 1.5 };
        assert_eq!(pace.remaining(left), None);
        pace.step(second);
        pace.step(3 * second);
        assert_eq!(pace.remaining(left), Some((6 + 2 + 6) * second));
        pace.conditioning(1.0, 4 * second);
        pace.decoding(0.25, second);
        assert_eq!(pace.remaining(left), Some((6 + 8 + 6) * second));
    }
}
