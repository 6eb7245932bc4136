//! DEIS (Zhang and Chen 2022), log-rho form, order 1 to 3: the noise estimate is a polynomial in the log of rho = noise / signal.

use super::plan::{Evaluation, LATENTS, Term, Update};
use super::{polynomial, sigmas::Schedule, sigmas::log_snr};

/// The noise estimates of the last steps stand in a ring from here on.
const NOISES: usize = 1;

/// Steps from which on the order is not lowered at the end.
const MANY_STEPS: usize = 15;

/// Settings of the solver.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Deis {
    /// 1 to 3: how many noise estimates are used.
    pub(super) order: usize,
    /// Whether runs of fewer than 15 steps lower the order in their last two.
    pub(super) lower_order_final: bool,
}

impl Deis {
    pub(super) fn plan(&self, schedule: &Schedule) -> Vec<Evaluation> {
        schedule.evaluations(|i| {
            let estimate = [(Term::Slot(LATENTS), 1.0), (Term::Velocity, 1.0 - schedule.sigmas[i])];
            vec![Update::new(self.slot(i), estimate), self.advance(schedule, i)]
        })
    }

    fn slot(&self, i: usize) -> usize {
        NOISES + i % self.order
    }

    fn order_at(&self, i: usize, steps: usize) -> usize {
        let lower = self.lower_order_final && steps < MANY_STEPS;
        let order = if lower { self.order.min(steps - i) } else { self.order };
        order.min(i + 1)
    }

    /// x / alpha grows by the integral of the noise estimate over rho. The newest estimate is written out as latents and velocity: with
    /// it, the large terms at high noise cancel here and not in the tensors.
    fn advance(&self, schedule: &Schedule, i: usize) -> Update {
        let (sigma, next) = (schedule.sigmas[i], schedule.sigmas[i + 1]);
        let order = self.order_at(i, schedule.steps());
        let start = -log_snr(sigma);
        let nodes: Vec<f64> = (0..order).map(|k| -log_snr(schedule.sigmas[i - k]) - start).collect();
        let rho = sigma / (1.0 - sigma);
        let moments = moments(-log_snr(next) - start, order);
        let weights: Vec<f64> = polynomial::weights(&nodes, &moments).iter().map(|weight| (1.0 - next) * rho * weight).collect();

        // With all weights on the newest estimate this is Euler's step.
        let earlier: f64 = weights[1..].iter().sum();
        let terms = [(Term::Slot(LATENTS), 1.0 - earlier), (Term::Velocity, next - sigma - (1.0 - sigma) * earlier)];
        let history = weights[1..].iter().enumerate().map(|(k, &weight)| (Term::Slot(self.slot(i - k - 1)), weight));
        Update::new(LATENTS, terms.into_iter().chain(history))
    }
}

/// Integrals of u^k exp(u) from 0 to `end`, which may be minus infinity, for k = 0, 1, 2.
fn moments(end: f64, count: usize) -> Vec<f64> {
    let exp = end.exp();
    // exp wins over every power, also at minus infinity.
    let times = |power: f64| if exp == 0.0 { 0.0 } else { exp * power };
    let all = [end.exp_m1(), times(end - 1.0) + 1.0, times(end * (end - 2.0) + 2.0) - 2.0];
    all[..count].to_vec()
}
