//! DPM-Solver++ single-step of order 2 (Lu et al. 2022): steps go in pairs, the first to the pair's middle by Euler's method in log
//! signal-to-noise, the second the whole way from the pair's start with what was seen at both.

use super::dpmpp::Form;
use super::plan::{Evaluation, LATENTS, Term, Update};
use super::{sigmas::Schedule, sigmas::log_snr};

/// Keeps the latents at the start of a pair.
const START: usize = 1;
/// Keeps the data estimate there.
const DATA: usize = 2;
/// Keeps that of the pair's second step.
const SECOND: usize = 3;

/// One evaluation a step. The last step is of order 1, and goes to the data.
pub(super) fn plan(form: Form, schedule: &Schedule) -> Vec<Evaluation> {
    schedule.evaluations(|i| if i % 2 == 1 && i + 1 < schedule.steps() { second(form, schedule, i) } else { first(schedule, i) })
}

fn first(schedule: &Schedule, i: usize) -> Vec<Update> {
    let (sigma, to) = (schedule.sigmas[i], schedule.sigmas[i + 1]);
    let h = log_snr(to) - log_snr(sigma);
    let advance = [(Term::Slot(LATENTS), to / sigma), (Term::Slot(DATA), -(1.0 - to) * (-h).exp_m1())];
    vec![Update::new(START, [(Term::Slot(LATENTS), 1.0)]), Update::data(DATA, sigma), Update::new(LATENTS, advance)]
}

fn second(form: Form, schedule: &Schedule, i: usize) -> Vec<Update> {
    let [from, middle, to] = [schedule.sigmas[i - 1], schedule.sigmas[i], schedule.sigmas[i + 1]];
    let h = log_snr(to) - log_snr(from);
    let whole = -(1.0 - to) * (-h).exp_m1();
    let slope = match form {
        Form::Midpoint => 0.5 * whole,
        Form::Heun => (1.0 - to) * ((-h).exp_m1() / h + 1.0),
    };
    let slope = slope * h / (log_snr(middle) - log_snr(from));
    let advance = [(Term::Slot(START), to / from), (Term::Slot(DATA), whole - slope), (Term::Slot(SECOND), slope)];
    vec![Update::data(SECOND, middle), Update::new(LATENTS, advance)]
}
