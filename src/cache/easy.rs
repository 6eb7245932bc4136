//! EasyCache: how much a prediction is going to change, from how much latents do and by how much it did before when they did.

/// Of one segment and expert.
#[derive(Clone, Debug, PartialEq)]
pub struct Easy {
    threshold: f64,
    max_consecutive: usize,
    /// Change of the prediction in parts of that of the latents, between the last two that were computed.
    rate: Option<f64>,
    /// Mean size of the last prediction that was computed.
    size: f64,
    /// Changes that have added up.
    sum: f64,
    run: usize,
}

impl Easy {
    pub(super) fn new(threshold: f64, max_consecutive: Option<usize>) -> Self {
        Self { threshold, max_consecutive: max_consecutive.unwrap_or(usize::MAX), rate: None, size: 0.0, sum: 0.0, run: 0 }
    }

    /// Whether it needs to know how much latents have changed since the evaluation before.
    pub fn looks(&self) -> bool {
        self.rate.is_some()
    }

    /// Whether the next evaluation reuses the last one computed, where latents have changed so much in the mean.
    pub fn reuses(&mut self, change: f64) -> bool {
        let Some(rate) = self.rate else { return false };
        self.sum += rate * change / self.size;
        let reuses = self.sum < self.threshold && self.run < self.max_consecutive;
        if reuses {
            self.run += 1;
        } else {
            self.sum = 0.0;
            self.run = 0;
        }
        reuses
    }

    /// An evaluation is computed without having been asked for.
    pub fn forced(&mut self) {
        (self.sum, self.run) = (0.0, 0);
    }

    /// A prediction of this mean size was computed. `changes` are those of latents and prediction since the one computed before.
    pub fn computed(&mut self, size: f64, changes: Option<(f64, f64)>) {
        self.size = size;
        if let Some((latents, prediction)) = changes {
            self.rate = Some(prediction / latents);
        }
    }
}
