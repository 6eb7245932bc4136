//! The midpoint method of Karras et al. 2022 (DPM-Solver-2 in k-diffusion) along the flow, or below the next level and back with fresh noise:
//! a second look where the logarithm of the level is halfway. Two evaluations a step, one in the last.

use super::ancestral::Depth;
use super::plan::{Evaluation, LATENTS, Term, Update};
use super::sigmas::Schedule;

/// Keeps the latents at the start of the step.
const START: usize = 1;

/// How far below the next level a step goes, `depth` says.
pub(super) fn plan(depth: Depth, schedule: &Schedule) -> Vec<Evaluation> {
    (0..schedule.steps()).flat_map(|i| step(depth, schedule, i)).collect()
}

fn step(depth: Depth, schedule: &Schedule, i: usize) -> Vec<Evaluation> {
    let (sigma, next, timestep) = (schedule.sigmas[i], schedule.sigmas[i + 1], schedule.timesteps[i]);
    let down = depth.level(sigma, next);
    if down == 0.0 {
        return vec![Evaluation { step: i, sigma, timestep, updates: vec![Update::data(LATENTS, sigma)] }];
    }
    let middle = (sigma * down).sqrt();
    let to_middle = [(Term::Slot(LATENTS), 1.0), (Term::Velocity, middle - sigma)];
    let first = vec![Update::new(START, [(Term::Slot(LATENTS), 1.0)]), Update::new(LATENTS, to_middle)];
    let (scale, noise) = depth.back(sigma, next);
    let to_next = [(Term::Slot(START), scale), (Term::Velocity, scale * (down - sigma)), (Term::Noise, noise)];
    vec![
        Evaluation { step: i, sigma, timestep, updates: first },
        Evaluation { step: i, sigma: middle, timestep: schedule.timestep(middle), updates: vec![Update::new(LATENTS, to_next)] },
    ]
}
