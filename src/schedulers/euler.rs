//! Euler's method: along the velocity, or to the estimated data and back to the next level with fresh noise.

use super::sigmas::Schedule;
use super::{Evaluation, LATENTS, Term, Update};

/// latents + (next - sigma) * velocity.
pub(super) fn plan(schedule: &Schedule) -> Vec<Evaluation> {
    schedule.evaluations(|i| {
        let terms = [(Term::Slot(LATENTS), 1.0), (Term::Velocity, schedule.sigmas[i + 1] - schedule.sigmas[i])];
        vec![Update::new(LATENTS, terms)]
    })
}

/// (1 - next) * data + next * noise, with the data estimated at this level.
pub(super) fn plan_stochastic(schedule: &Schedule) -> Vec<Evaluation> {
    schedule.evaluations(|i| {
        let (sigma, next) = (schedule.sigmas[i], schedule.sigmas[i + 1]);
        let terms = [(Term::Slot(LATENTS), 1.0 - next), (Term::Velocity, -sigma * (1.0 - next)), (Term::Noise, next)];
        vec![Update::new(LATENTS, terms)]
    })
}
