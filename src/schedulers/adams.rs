//! Linear multistep methods on the velocity: LMS, with weights for the levels as they lie, and iPNDM, with Adams and Bashforth's constant
//! ones. Both start at order 1 and rise to 4.

use super::plan::{Evaluation, LATENTS, Term, Update};
use super::{polynomial, sigmas::Schedule};

/// Velocities of the last steps stand in a ring from here on; with the current one there are as many as the order.
const VELOCITIES: usize = 1;
const EARLIER: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Adams {
    /// The integral over the step of the polynomial through the last velocities.
    Lms,
    /// The same for equal steps, whatever the steps are.
    Ipndm,
}

impl Adams {
    pub(super) fn plan(self, schedule: &Schedule) -> Vec<Evaluation> {
        schedule.evaluations(|i| {
            let earlier = EARLIER.min(i);
            let weights = match self {
                Self::Lms => exact(&schedule.sigmas, i, earlier),
                Self::Ipndm => constant(schedule.sigmas[i + 1] - schedule.sigmas[i], earlier),
            };
            let terms = [(Term::Slot(LATENTS), 1.0), (Term::Velocity, weights[0])];
            let history = (1..=earlier).map(|k| (Term::Slot(slot(i - k)), weights[k]));
            let advance = Update::new(LATENTS, terms.into_iter().chain(history));
            vec![advance, Update::new(slot(i), [(Term::Velocity, 1.0)])]
        })
    }
}

fn slot(i: usize) -> usize {
    VELOCITIES + i % EARLIER
}

/// Weights of the velocities of steps `i`, `i - 1`, ... for the step to the next level.
fn exact(sigmas: &[f64], i: usize, earlier: usize) -> Vec<f64> {
    let dt = sigmas[i + 1] - sigmas[i];
    let nodes: Vec<f64> = (0..=earlier).map(|k| sigmas[i - k] - sigmas[i]).collect();
    let moments: Vec<f64> = (1..=earlier as i32 + 1).map(|k| dt.powi(k) / f64::from(k)).collect();
    polynomial::weights(&nodes, &moments)
}

fn constant(dt: f64, earlier: usize) -> Vec<f64> {
    let (weights, divisor): (&[f64], f64) = match earlier {
        0 => (&[1.0], 1.0),
        1 => (&[3.0, -1.0], 2.0),
        2 => (&[23.0, -16.0, 5.0], 12.0),
        _ => (&[55.0, -59.0, 37.0, -9.0], 24.0),
    };
    weights.iter().map(|weight| dt * weight / divisor).collect()
}
