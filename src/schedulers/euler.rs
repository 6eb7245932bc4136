//! Euler's method along the flow, which is also what DDIM without noise comes to.

use super::plan::{Evaluation, LATENTS, Term, Update};
use super::sigmas::Schedule;

/// latents + (next - sigma) * velocity.
pub(super) fn plan(schedule: &Schedule) -> Vec<Evaluation> {
    schedule.evaluations(|i| {
        let terms = [(Term::Slot(LATENTS), 1.0), (Term::Velocity, schedule.sigmas[i + 1] - schedule.sigmas[i])];
        vec![Update::new(LATENTS, terms)]
    })
}
