//! DPM-Solver++ multistep (Lu et al. 2022), order 1 to 3, along the flow or, with fresh noise, as the reverse diffusion.

use super::plan::{Evaluation, LATENTS, Term, Update};
use super::{sigmas::Schedule, sigmas::log_snr};

/// The data estimates of the last steps stand in a ring from here on.
const DATA: usize = 1;

/// Steps from which on the order is not lowered at the end for stability.
const MANY_STEPS: usize = 15;

/// Settings of the solver.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DpmPp {
    /// 1 to 3.
    pub(super) order: usize,
    pub(super) form: Form,
    /// Whether runs of fewer than 15 steps lower the order in their last two.
    pub(super) lower_order_final: bool,
    /// Whether the last step is of order 1 however many there are.
    pub(super) euler_at_final: bool,
    /// Whether fresh noise is added at every step.
    pub(super) stochastic: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The slope counts as if taken in the middle of the step.
    Midpoint,
    /// The slope is integrated over the step.
    Heun,
}

impl DpmPp {
    pub(super) fn plan(&self, schedule: &Schedule) -> Vec<Evaluation> {
        schedule.evaluations(|i| vec![Update::data(self.data_slot(i), schedule.sigmas[i]), self.advance(schedule, i)])
    }

    fn data_slot(&self, i: usize) -> usize {
        DATA + i % self.order
    }

    fn order_at(&self, schedule: &Schedule, i: usize) -> usize {
        let left = schedule.steps() - i;
        let lower = self.lower_order_final && schedule.steps() < MANY_STEPS;
        // At level 0 the log signal-to-noise is infinite, and only the first order has a limit.
        if left == 1 && (lower || self.euler_at_final || schedule.sigmas[i + 1] == 0.0) {
            return 1;
        }
        let order = if left == 2 && lower { self.order.min(2) } else { self.order };
        order.min(i + 1)
    }

    fn advance(&self, schedule: &Schedule, i: usize) -> Update {
        let order = self.order_at(schedule, i);
        let (to, sigma) = (schedule.sigmas[i + 1], schedule.sigmas[i]);
        let h = log_snr(to) - log_snr(sigma);
        let decay = if self.stochastic { (-h).exp() } else { 1.0 };
        // Noise makes the latents forget at twice the rate.
        let span = if self.stochastic { 2.0 * h } else { h };
        let noise = if self.stochastic { to * (-(-span).exp_m1()).sqrt() } else { 0.0 };

        let data = self.data_weights(&schedule.sigmas[i + 1 - order..=i], 1.0 - to, h, span);
        let data = data.into_iter().enumerate().map(|(k, weight)| (Term::Slot(self.data_slot(i - k)), weight));
        let ends = [(Term::Slot(LATENTS), to / sigma * decay), (Term::Noise, noise)];
        Update::new(LATENTS, ends.into_iter().chain(data))
    }

    /// Weights of the estimates at `levels` (oldest first), newest first. Divided differences over steps of infinite length, which start
    /// at level 1, come out as 0.
    fn data_weights(&self, levels: &[f64], alpha: f64, h: f64, span: f64) -> Vec<f64> {
        let lambdas: Vec<f64> = levels.iter().rev().map(|&sigma| log_snr(sigma)).collect();
        // Lengths of the earlier steps in units of this one.
        let ratio = |k: usize| (lambdas[k] - lambdas[k + 1]) / h;
        let whole = -alpha * (-span).exp_m1();
        let slope = alpha * ((-span).exp_m1() / span + 1.0);
        match (levels.len(), self.form) {
            (1, _) => vec![whole],
            (2, form) => {
                let slope = if form == Form::Midpoint { 0.5 * whole } else { slope };
                let first = slope / ratio(0);
                vec![whole + first, -first]
            }
            _ => {
                let curvature = alpha * (0.5 - ((-span).exp_m1() + span) / (span * span));
                let (r0, r1) = (ratio(0), ratio(1));
                let second = (slope * r0 + curvature) / (r0 + r1);
                // First differences (m0 - m1) / r0 and (m1 - m2) / r1.
                let (newer, older) = ((slope + second) / r0, -second / r1);
                vec![whole + newer, older - newer, -older]
            }
        }
    }
}
