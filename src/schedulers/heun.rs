//! Heun's method: Euler's step, a second look at its end, and the mean of the two velocities. Two evaluations a step, one in the last.

use super::plan::{Evaluation, LATENTS, Term, Update};
use super::sigmas::Schedule;

/// Keeps the latents at the start of the step.
const START: usize = 1;
/// Keeps the velocity there.
const VELOCITY: usize = 2;

pub(super) fn plan(schedule: &Schedule) -> Vec<Evaluation> {
    (0..schedule.steps()).flat_map(|i| step(schedule, i)).collect()
}

fn step(schedule: &Schedule, i: usize) -> Vec<Evaluation> {
    let (sigma, next) = (schedule.sigmas[i], schedule.sigmas[i + 1]);
    let dt = next - sigma;
    let euler = Update::new(LATENTS, [(Term::Slot(LATENTS), 1.0), (Term::Velocity, dt)]);
    let Some(&timestep) = schedule.timesteps.get(i + 1) else {
        return vec![Evaluation { step: i, sigma, timestep: schedule.timesteps[i], updates: vec![euler] }];
    };
    let keep = [Update::new(START, [(Term::Slot(LATENTS), 1.0)]), Update::new(VELOCITY, [(Term::Velocity, 1.0)])];
    let mean = [(Term::Slot(START), 1.0), (Term::Slot(VELOCITY), 0.5 * dt), (Term::Velocity, 0.5 * dt)];
    let first = Evaluation { step: i, sigma, timestep: schedule.timesteps[i], updates: keep.into_iter().chain([euler]).collect() };
    let second = Evaluation { step: i, sigma: next, timestep, updates: vec![Update::new(LATENTS, mean)] };
    vec![first, second]
}
