//! How the residual of the layers shrinks, measured in a run without a cache.

use crate::cache::{curve::CacheCurve, mask::Moment};
use crate::error::{Error, Result};

/// See the module: in the mean of segments, and of videos.
pub(crate) struct Calibration {
    moments: Vec<Moment>,
    /// By evaluation.
    sums: Vec<f64>,
    counts: Vec<usize>,
}

impl Calibration {
    /// For these evaluations of a segment.
    ///
    /// # Errors
    /// [`Error::Input`] where no curve can be of them.
    pub fn new(moments: Vec<Moment>) -> Result<Self> {
        let count = moments.len();
        let calibration = Self { moments, sums: vec![0.0; count], counts: vec![0; count] };
        match calibration.curve() {
            Ok(_) => Ok(calibration),
            Err(_) => Err(Error::Input(
                "calibration needs noise levels that fall from step to step, two for each expert at least: take more steps, and a solver \
                 that evaluates the model once a step, such as unipc"
                    .into(),
            )),
        }
    }

    /// The evaluations that it is of.
    pub fn moments(&self) -> &[Moment] {
        &self.moments
    }

    /// What an evaluation measured.
    pub fn add(&mut self, number: usize, ratio: Option<f64>) {
        self.sums[number] += ratio.unwrap_or(0.0);
        self.counts[number] += usize::from(ratio.is_some());
    }

    /// What was measured; 1 where nothing was.
    pub fn curve(&self) -> Result<CacheCurve> {
        let experts = self.moments.iter().map(|moment| moment.expert).max().unwrap_or(0);
        let ratio = |i: usize| if self.counts[i] == 0 { 1.0 } else { self.sums[i] / self.counts[i] as f64 };
        let points = |expert: usize| {
            let own = (0..self.moments.len()).filter(|&i| self.moments[i].expert == expert);
            own.map(|i| (self.moments[i].sigma, ratio(i))).collect()
        };
        CacheCurve::new((0..=experts).map(points).collect())
    }
}
