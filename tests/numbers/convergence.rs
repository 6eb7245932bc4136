//! Every scheduler converges at its order. Data is normal, N(MEAN, DEVIATION^2): the velocity and the flow have closed forms, and all tensors
//! are affine in the initial noise and the noises drawn, so that means and variances are exact and no chance is involved.

use wan_animate::Result;
use wan_animate::unversioned::schedulers::{LATENTS, Scheduler, SchedulerConfig, SolverPlan, Spacing, Term};

const MEAN: f64 = 0.7;
const DEVIATION: f64 = 0.4;

/// Between these levels the errors are taken: within them the flow is smooth in level and in log signal-to-noise alike.
const FIRST: f64 = 0.95;
const LAST: f64 = 0.1;

/// A number as affine function of independent standard normal variables: its mean, the initial noise's weight, and those of the noises drawn.
type Affine = Vec<f64>;

fn variance(sigma: f64) -> f64 {
    (1.0 - sigma).powi(2) * DEVIATION * DEVIATION + sigma * sigma
}

/// E[noise - data | latents].
fn velocity(latents: &Affine, sigma: f64) -> Affine {
    let slope = (sigma - (1.0 - sigma) * DEVIATION * DEVIATION) / variance(sigma);
    let mut velocity: Affine = latents.iter().map(|weight| slope * weight).collect();
    velocity[0] -= slope * (1.0 - sigma) * MEAN + MEAN;
    velocity
}

/// The velocity of a model that points to where the flow ends: what distillation to consistency aims at.
fn consistent_velocity(latents: &Affine, sigma: f64) -> Affine {
    let slope = DEVIATION / variance(sigma).sqrt();
    let mut velocity: Affine = latents.iter().map(|weight| (1.0 - slope) / sigma * weight).collect();
    velocity[0] -= (MEAN - slope * (1.0 - sigma) * MEAN) / sigma;
    velocity
}

/// The latents after the first `count` evaluations.
fn run(plan: &SolverPlan, count: usize, model: impl Fn(&Affine, f64) -> Affine) -> Affine {
    let first = plan.evaluations[0].sigma;
    let mut drawn = 2;
    let size = 2 + 2 * plan.evaluations.len();
    let mut start = vec![0.0; size];
    (start[0], start[1]) = ((1.0 - first) * MEAN, variance(first).sqrt());
    let mut slots = vec![vec![0.0; size]; plan.slots];
    slots[LATENTS] = start;
    for evaluation in &plan.evaluations[..count] {
        let velocity = model(&slots[LATENTS], evaluation.sigma);
        for update in &evaluation.updates {
            let mut sum = vec![0.0; size];
            for &(term, weight) in &update.terms {
                match term {
                    Term::Slot(slot) => sum.iter_mut().zip(&slots[slot]).for_each(|(sum, value)| *sum += weight * value),
                    Term::Velocity => sum.iter_mut().zip(&velocity).for_each(|(sum, value)| *sum += weight * value),
                    Term::Noise => sum[drawn] += weight,
                }
            }
            drawn += usize::from(update.terms.iter().any(|(term, _)| *term == Term::Noise));
            slots[update.into] = sum;
        }
    }
    slots.swap_remove(LATENTS)
}

/// `count` equal steps from FIRST to LAST and two more, as some orders fall in the last steps; if `graded`, the first is taken in ever
/// smaller halves, so that starting at a low order costs nothing.
fn levels(count: usize, graded: bool) -> Vec<f64> {
    let step = (FIRST - LAST) / count as f64;
    let halvings = if graded { 2 * count.ilog2() as i32 } else { 0 };
    let start = (1..=halvings).rev().map(|k| FIRST - step * 0.5f64.powi(k));
    [FIRST].into_iter().chain(start).chain((1..=count).map(|i| FIRST - i as f64 * step)).chain([0.5 * LAST, 0.25 * LAST]).collect()
}

/// How far the latents at LAST are from the flow's, or, of solvers with noise, their mean and deviation.
fn error(scheduler: Scheduler, count: usize, graded: bool) -> Result<f64> {
    let list = Spacing::Sigmas(levels(count, graded));
    let steps = list.steps().unwrap_or(0);
    let plan = SchedulerConfig::diffusers(scheduler).with_spacing(list).plan(steps)?;
    let reached = plan.evaluations.iter().position(|e| e.step + 3 == steps).unwrap_or(0);
    let sigma = plan.evaluations[reached].sigma;
    let latents = run(&plan, reached, velocity);
    let deviation = latents[1..].iter().map(|weight| weight * weight).sum::<f64>().sqrt();
    Ok((latents[0] - (1.0 - sigma) * MEAN).abs() + (deviation - variance(sigma).sqrt()).abs())
}

#[test]
fn errors_fall_at_the_order_of_the_scheduler() -> Result<()> {
    for (&scheduler, order) in Scheduler::ALL.iter().filter_map(|scheduler| Some((scheduler, f64::from(scheduler.order()?)))) {
        // Steps in pairs, and weights for equal steps.
        let graded = !matches!(scheduler, Scheduler::DpmPp2S | Scheduler::Ipndm);
        let (coarse, fine) = (error(scheduler, 64, graded)?, error(scheduler, 128, graded)?);
        let seen = (coarse / fine).log2();
        // At these numbers of steps, terms of higher orders still show a little.
        assert!(seen > order - 0.3, "{scheduler:?}: {coarse:e} then {fine:e}: order {seen:.2}, not {order}");
        assert!(fine < 1e-2, "{scheduler:?} is {fine:e} off");
    }
    Ok(())
}

#[test]
fn spacings_and_shifts_lead_to_the_data() -> Result<()> {
    let plans = [Spacing::Uniform, Spacing::Karras, Spacing::Exponential, Spacing::Beta].map(|spacing| (spacing, [1.0, 5.0]));
    for (spacing, shifts) in plans {
        for (scheduler, shift) in [Scheduler::UniPc, Scheduler::DpmPp2M, Scheduler::Heun].into_iter().flat_map(|s| shifts.map(|t| (s, t))) {
            let plan = SchedulerConfig::diffusers(scheduler).with_shift(shift).with_spacing(spacing.clone()).plan(60)?;
            let latents = run(&plan, plan.evaluations.len(), velocity);
            let deviation = latents[1].abs(); // no noise is drawn
            // Sixty steps of order 2 and up, and the noise left out below the last level.
            let near = (latents[0] - MEAN).abs() < 5e-3 && (deviation - DEVIATION).abs() < 5e-3;
            assert!(near, "{scheduler:?} {spacing:?} shift {shift}: mean {}, deviation {deviation}", latents[0]);
        }
    }
    Ok(())
}

#[test]
fn lcm_is_exact_with_a_consistent_model() -> Result<()> {
    for steps in [1, 2, 4, 8] {
        let plan = SchedulerConfig::official(Scheduler::Lcm).plan(steps)?;
        let latents = run(&plan, steps, consistent_velocity);
        let deviation = latents[1..].iter().map(|weight| weight * weight).sum::<f64>().sqrt();
        // Levels are rounded to f32, weights are f64.
        assert!((latents[0] - MEAN).abs() < 1e-12 && (deviation - DEVIATION).abs() < 1e-12, "{steps} steps: {} {deviation}", latents[0]);
    }
    Ok(())
}
