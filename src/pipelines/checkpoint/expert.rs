//! Which of two transformers is meant.

use std::fmt;

/// Which of a pair of transformers makes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Expert {
    /// `transformer`: the steps at timesteps from the checkpoint's boundary up, which come first.
    HighNoise,
    /// `transformer_2`: the steps below the boundary.
    LowNoise,
}

impl fmt::Display for Expert {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::HighNoise => "high-noise expert",
            Self::LowNoise => "low-noise expert",
        })
    }
}
