//! DPM-Solver++ SDE of second order (as k-diffusion knows it): a step of the reverse diffusion looks again halfway in log signal-to-noise
//! and goes the whole way with what it sees there. Two evaluations a step, one in the last.

use super::plan::{Evaluation, LATENTS, Term, Update};
use super::{sigmas::Schedule, sigmas::log_snr};

/// Keeps the latents at the start of the step.
const START: usize = 1;
/// Keeps the noise of its first half.
const HALF_NOISE: usize = 2;

pub(super) fn plan(schedule: &Schedule) -> Vec<Evaluation> {
    (0..schedule.steps()).flat_map(|i| step(schedule, i)).collect()
}

fn step(schedule: &Schedule, i: usize) -> Vec<Evaluation> {
    let (sigma, next, timestep) = (schedule.sigmas[i], schedule.sigmas[i + 1], schedule.timesteps[i]);
    if next == 0.0 {
        return vec![Evaluation { step: i, sigma, timestep, updates: vec![Update::data(LATENTS, sigma)] }];
    }
    let h = log_snr(next) - log_snr(sigma);
    let middle = 1.0 / (1.0 + (log_snr(sigma) + 0.5 * h).exp());
    let half = Weights::new(sigma, middle, 0.5 * h);
    let to_middle =
        [(Term::Slot(LATENTS), half.latents + half.data), (Term::Velocity, -sigma * half.data), (Term::Slot(HALF_NOISE), half.noise)];
    let first = vec![
        Update::new(START, [(Term::Slot(LATENTS), 1.0)]),
        Update::new(HALF_NOISE, [(Term::Noise, 1.0)]),
        Update::new(LATENTS, to_middle),
    ];

    let whole = Weights::new(sigma, next, h);
    // The noise of a step holds that of its first half: this is their correlation along one path of the diffusion.
    let shared = (h.exp() + 1.0).sqrt().recip();
    let to_next = [
        (Term::Slot(START), whole.latents),
        (Term::Slot(LATENTS), whole.data),
        (Term::Velocity, -middle * whole.data),
        (Term::Slot(HALF_NOISE), whole.noise * shared),
        (Term::Noise, whole.noise * (1.0 - shared * shared).sqrt()),
    ];
    let second = vec![Update::new(LATENTS, to_next)];
    vec![
        Evaluation { step: i, sigma, timestep, updates: first },
        Evaluation { step: i, sigma: middle, timestep: schedule.timestep(middle), updates: second },
    ]
}

/// The solution of the reverse diffusion from `sigma` to `to` while the data estimate stands still; `h` apart in log signal-to-noise.
struct Weights {
    latents: f64,
    data: f64,
    noise: f64,
}

impl Weights {
    fn new(sigma: f64, to: f64, h: f64) -> Self {
        let forgotten = -(-2.0 * h).exp_m1();
        Self { latents: to / sigma * (-h).exp(), data: (1.0 - to) * forgotten, noise: to * forgotten.sqrt() }
    }
}
