//! UniPC, the unified predictor-corrector (Zhao et al. 2023), predicting data, in its B(h) form.

use super::plan::{Evaluation, LATENTS, Term, Update};
use super::{polynomial, sigmas::Schedule, sigmas::log_snr};

/// Keeps the corrected latents of the last step, which the next corrector starts from.
const CORRECTED: usize = 1;
/// The data estimates of the last steps stand in a ring from here on.
const DATA: usize = 2;

/// Settings of the solver.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct UniPc {
    /// 1 to 3: how many data estimates the predictor uses. The corrector uses one more.
    pub(super) order: usize,
    pub(super) form: Form,
    /// Whether the order falls to 1 towards the last step.
    pub(super) lower_order_final: bool,
    /// Steps after which the corrector is left out.
    pub(super) disable_corrector: Vec<usize>,
}

/// The function B(h) of the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// B(h) = h.
    Bh1,
    /// B(h) = exp(h) - 1.
    Bh2,
}

impl UniPc {
    pub(super) fn plan(&self, schedule: &Schedule) -> Vec<Evaluation> {
        schedule.evaluations(|i| {
            let estimate = Update::data(self.data_slot(i), schedule.sigmas[i]);
            vec![estimate, self.correct(schedule, i), self.predict(schedule, i)]
        })
    }

    /// The order of the predictor of step `i`, and of the corrector that follows it.
    fn order_at(&self, i: usize, steps: usize) -> usize {
        let order = if self.lower_order_final { self.order.min(steps - i) } else { self.order };
        order.min(i + 1)
    }

    /// One slot more than the order: the corrector sees the newest estimate beside those of the predictor before it.
    fn data_slot(&self, i: usize) -> usize {
        DATA + i % (self.order + 1)
    }

    /// Corrects the latents that step `i - 1` predicted, now that there is an estimate of the data at them.
    fn correct(&self, schedule: &Schedule, i: usize) -> Update {
        if i == 0 || self.disable_corrector.contains(&(i - 1)) {
            return Update::new(CORRECTED, [(Term::Slot(LATENTS), 1.0)]);
        }
        let order = self.order_at(i - 1, schedule.steps());
        let weights = self.weights(schedule.sigmas[i], &newest_first(schedule, i - 1, order), true);
        let newest = (Term::Slot(self.data_slot(i)), weights.newest);
        Update::new(CORRECTED, self.terms(&weights, i - 1).chain([newest]))
    }

    /// Takes the corrected latents to the next level.
    fn predict(&self, schedule: &Schedule, i: usize) -> Update {
        let order = self.order_at(i, schedule.steps());
        let weights = self.weights(schedule.sigmas[i + 1], &newest_first(schedule, i, order), false);
        Update::new(LATENTS, self.terms(&weights, i))
    }

    fn terms<'a>(&'a self, weights: &'a Weights, i: usize) -> impl Iterator<Item = (Term, f64)> + 'a {
        let data = weights.data.iter().enumerate().map(move |(k, &weight)| (Term::Slot(self.data_slot(i - k)), weight));
        [(Term::Slot(CORRECTED), weights.latents)].into_iter().chain(data)
    }

    /// Weights of the step to level `to` from the first of `from`; the others are the levels of earlier data estimates.
    fn weights(&self, to: f64, from: &[f64], corrector: bool) -> Weights {
        let mut data = vec![0.0; from.len()];
        if to == from[0] {
            return Weights { latents: 1.0, data, newest: 0.0 };
        }
        let start = log_snr(from[0]);
        let h = log_snr(to) - start;
        let phi_1 = (-h).exp_m1();
        let b = match self.form {
            Form::Bh1 => -h,
            Form::Bh2 => phi_1,
        };
        // Where the other estimates lie, in units of the step.
        let mut nodes: Vec<f64> = from[1..].iter().map(|&sigma| (log_snr(sigma) - start) / h).collect();
        nodes.extend(corrector.then_some(1.0));
        let rho = if nodes.len() == 1 { vec![0.5] } else { polynomial::weights(&nodes, &moments(h, phi_1, b, nodes.len())) };

        let scale = -(1.0 - to) * b;
        let slopes: Vec<f64> = rho.iter().zip(&nodes).map(|(rho, node)| scale * rho / node).collect();
        data[0] = -(1.0 - to) * phi_1 - slopes.iter().sum::<f64>();
        data[1..].copy_from_slice(&slopes[..from.len() - 1]);
        let newest = if corrector { slopes[from.len() - 1] } else { 0.0 };
        Weights { latents: to / from[0], data, newest }
    }
}

/// How one combination weighs what it is made of.
struct Weights {
    latents: f64,
    /// Estimates at the levels stepped from, newest first.
    data: Vec<f64>,
    /// The estimate at the level stepped to, for the corrector.
    newest: f64,
}

/// The levels of steps `i`, `i - 1`, ...: `count` of them.
fn newest_first(schedule: &Schedule, i: usize, count: usize) -> Vec<f64> {
    schedule.sigmas[i + 1 - count..=i].iter().rev().copied().collect()
}

/// Right-hand side of the order conditions: k! phi_(k+1) / B for k = 1, 2, ...
fn moments(h: f64, phi_1: f64, b: f64, count: usize) -> Vec<f64> {
    let mut phi = phi_1 / -h - 1.0;
    let mut factorial = 1.0;
    (2..count + 2)
        .map(|k| {
            let moment = phi * factorial / b;
            factorial *= k as f64;
            phi = phi / -h - 1.0 / factorial;
            moment
        })
        .collect()
}
