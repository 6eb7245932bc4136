//! Decides on the way, by how much what the first layers did has changed.

use crate::error::Result;

/// For one branch of guidance, in one segment, by one expert.
#[derive(Clone, Debug, PartialEq)]
pub struct Judge {
    threshold: f64,
    /// Whether a change of just the threshold is too much, as in cache-dit, where one from 1 on lets everything pass.
    strict: bool,
    max_consecutive: usize,
    max_reused: usize,
    /// Reused in a row, up to now.
    run: usize,
    /// Reused in all.
    reused: usize,
}

impl Judge {
    pub(super) fn new(threshold: f64, strict: bool, max_consecutive: Option<usize>, max_reused: Option<usize>) -> Self {
        let most = |count: Option<usize>| count.unwrap_or(usize::MAX);
        Self { threshold, strict, max_consecutive: most(max_consecutive), max_reused: most(max_reused), run: 0, reused: 0 }
    }

    /// Whether the next evaluation reuses what was computed before. `change` looks, where that matters: the mean size of the difference in
    /// parts of the mean size before.
    pub fn reuses(&self, change: impl FnOnce() -> Result<f64>) -> Result<bool> {
        match self.run >= self.max_consecutive || self.reused >= self.max_reused {
            true => Ok(false),
            false => self.is_near(change),
        }
    }

    /// What was decided of an evaluation, by it or for it.
    pub fn note(&mut self, is_computed: bool) {
        self.run = if is_computed { 0 } else { self.run + 1 };
        self.reused += usize::from(!is_computed);
    }

    fn is_near(&self, change: impl FnOnce() -> Result<f64>) -> Result<bool> {
        match self.strict {
            true if self.threshold >= 1.0 => Ok(true),
            true => Ok(change()? < self.threshold),
            false => Ok(change()? <= self.threshold),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_come_before_changes() -> Result<()> {
        let mut judge = Judge::new(0.1, false, Some(2), Some(3));
        let changes = [0.1, 0.05, 0.0, 0.11, 0.0, 0.0, 0.0];
        let decided = changes.map(|change| {
            let reuses = judge.reuses(|| Ok(change)).unwrap_or(false);
            judge.note(!reuses);
            reuses
        });
        assert_eq!(decided, [true, true, false, false, true, false, false]);
        assert!(!Judge::new(0.1, true, None, None).reuses(|| Ok(0.1))?, "strictly below");
        assert!(Judge::new(1.0, true, None, None).reuses(|| panic!("not looked at"))?);
        assert!(!Judge::new(0.1, false, None, None).reuses(|| Ok(f64::NAN))?);
        Ok(())
    }
}
