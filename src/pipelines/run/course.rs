//! What is going to be done of a segment's latents, evaluation by evaluation.

use crate::cache::steps::Steps;
use crate::pipelines::run::calibration::Calibration;
use crate::schedulers::SolverPlan;

/// A scheduler's plan, and which of its evaluations are computed.
pub(crate) struct Course {
    pub plan: SolverPlan,
    pub steps: Steps,
    /// Where it is asked for.
    pub calibration: Option<Calibration>,
}
