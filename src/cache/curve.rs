//! How the residual of a model's layers shrinks as the noise level falls.
//!
//! MagCache measures the ratio of its size from one step to the next. Over noise levels instead of steps, the ratios of runs of other lengths and
//! shifts are those of one curve: so a curve that was measured once gives the ratio of any two levels.

use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::json::read_json;
use crate::location::Location;
use crate::partial_file::PartialFile;

/// Noise levels of a run without a cache, falling, each with the size of the residual in parts of that at the level before; with two experts,
/// of each. For [`Cache::curve`](crate::Cache::curve).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CacheCurve {
    experts: Vec<Vec<(f64, f64)>>,
}

impl CacheCurve {
    /// Of (noise level, ratio), one list an expert; the ratio of the first level of a list counts for nothing.
    ///
    /// # Errors
    /// [`Error::Input`] where a list has fewer than two levels, they do not fall, or a ratio is not above 0.
    pub fn new(experts: Vec<Vec<(f64, f64)>>) -> Result<Self> {
        let curve = Self { experts };
        match curve.is_sound() {
            true => Ok(curve),
            false => Err(Error::Input("a curve for a cache needs two falling noise levels at least, with ratios above 0".into())),
        }
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read; [`Error::Weights`] where it is none of this kind.
    pub fn open(file: impl Into<Location>) -> Result<Self> {
        let file = file.into();
        let curve: Self = read_json(&file)?;
        match curve.is_sound() {
            true => Ok(curve),
            false => Err(Error::weights(file.path(), "not a curve for a cache: levels must fall, and ratios be above 0")),
        }
    }

    /// Writes a JSON file: `{"experts": [[[sigma, ratio], ..]]}`.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let (partial, mut file) = PartialFile::create(path)?;
        let text = serde_json::to_string_pretty(self).expect("numbers and lists");
        file.write_all(text.as_bytes()).map_err(Error::io(path))?;
        partial.publish_durably(&file)
    }

    /// Levels and ratios, by expert.
    pub fn experts(&self) -> &[Vec<(f64, f64)>] {
        &self.experts
    }

    /// Whether it can be followed: what is deserialized may be anything.
    pub(super) fn is_sound(&self) -> bool {
        let is_point = |&(sigma, ratio): &(f64, f64)| sigma.is_finite() && ratio.is_finite() && ratio > 0.0;
        let is_list = |points: &Vec<(f64, f64)>| {
            points.len() >= 2 && points.iter().all(is_point) && points.windows(2).all(|pair| pair[1].0 < pair[0].0)
        };
        !self.experts.is_empty() && self.experts.iter().all(is_list)
    }

    /// The size of the residual at level `to`, in parts of that at `from`, by an expert.
    pub(super) fn ratio(&self, expert: usize, from: f64, to: f64) -> f64 {
        let points = &self.experts[expert.min(self.experts.len() - 1)];
        (log_size(points, to) - log_size(points, from)).exp()
    }
}

/// The logarithm of the residual's size at a level, linear between those that were measured and beyond them.
fn log_size(points: &[(f64, f64)], sigma: f64) -> f64 {
    let mut log = 0.0;
    for (i, pair) in points.windows(2).enumerate() {
        let step = pair[1].1.ln();
        if sigma >= pair[1].0 || i + 2 == points.len() {
            return log + (pair[0].0 - sigma) / (pair[0].0 - pair[1].0) * step;
        }
        log += step;
    }
    log
}
