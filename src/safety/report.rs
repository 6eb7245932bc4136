//! What a classifier said.

use serde::Serialize;

/// A frame that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SafetyScore {
    /// From 0.
    pub frame: usize,
    /// From 0, harmless, to 1.
    pub score: f32,
    /// Whether the score is at least the threshold.
    pub flagged: bool,
}

/// What a classifier said of a picture or video.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SafetyReport {
    scores: Vec<SafetyScore>,
}

impl SafetyReport {
    /// Whether any frame that was looked at is flagged. False where none was.
    pub fn is_flagged(&self) -> bool {
        self.scores.iter().any(|score| score.flagged)
    }

    /// Of all frames that were looked at, in their order.
    pub fn scores(&self) -> &[SafetyScore] {
        &self.scores
    }

    /// The highest; none where nothing was looked at.
    pub fn highest(&self) -> Option<SafetyScore> {
        self.scores.iter().copied().max_by(|a, b| a.score.total_cmp(&b.score))
    }

    pub(super) fn push(&mut self, score: SafetyScore) {
        self.scores.push(score);
    }
}
