//! Noise levels: from how many, shifted how far, by whose rule.

use super::{plan::Evaluation, plan::Update, spacing, spacing::Spacing};
use crate::{Error, Result};

/// More steps than this are refused.
const MAX_STEPS: usize = 10_000;

/// How far below 1 the first level must be for solvers that work in log signal-to-noise, which is infinite at 1.
const BELOW_ONE: f64 = 1e-6;

/// The noise levels of a run and what the model is fed at each.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Schedule {
    /// Levels in [0, 1], falling; one more than there are steps. Rounded to f32, as the reference keeps them.
    pub(super) sigmas: Vec<f64>,
    /// One a step.
    pub(super) timesteps: Vec<f64>,
    feed: Feed,
}

/// What the model is fed at a level.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Feed {
    num_train_timesteps: f64,
    whole: bool,
}

/// Whose rule gives the unshifted levels and timesteps. They differ in the first level and in the rounding of timesteps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rule {
    /// diffusers `UniPCMultistepScheduler`: from 1 towards 1/1000.
    UniPc,
    /// The same with `use_karras_sigmas`: from the most to the least noise / signal of a diffusion.
    UniPcKarras {
        /// At the first step.
        most: f64,
        /// At the last.
        least: f64,
    },
    /// diffusers `DPMSolverMultistepScheduler` and `DEISMultistepScheduler`: from 0.999 towards 0.
    DpmSolver,
    /// diffusers `FlowMatch...Scheduler`: from 1 to the shifted 1/1000, which is then shifted again; fractional timesteps.
    FlowMatch,
    /// Official Wan UniPC: from 0.999 towards 0.
    OfficialUniPc,
    /// Official Wan DPM++: from exactly 1 towards 0.
    Official,
}

/// The level after the last step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum FinalSigma {
    /// A level of its own, in general 0.
    At(f64),
    /// The last step's own level again, so that the last step stands still.
    Repeat,
}

/// Everything that decides the levels but the number of steps.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Levels {
    pub(super) rule: Rule,
    pub(super) spacing: Spacing,
    pub(super) shift: f64,
    /// If given, the levels are stretched so that the last step begins at this one.
    pub(super) shift_terminal: Option<f64>,
    pub(super) final_sigma: FinalSigma,
    /// How many timesteps a level of 1 stands for.
    pub(super) num_train_timesteps: f64,
}

impl Levels {
    /// The levels and timesteps of a run of `steps` steps, the first a hair under 1 if `below_one`.
    pub(super) fn schedule(&self, steps: usize, below_one: bool) -> Result<Schedule> {
        if !(1..=MAX_STEPS).contains(&steps) {
            return Err(Error::Input(format!("{steps} inference steps: give 1 to {MAX_STEPS}")));
        }
        if !(self.shift.is_finite() && self.shift > 0.0) {
            return Err(Error::Input(format!("shift {}: give a number above 0", self.shift)));
        }
        let feed = Feed { num_train_timesteps: self.num_train_timesteps, whole: self.rule != Rule::FlowMatch };
        let mut sigmas = self.sigmas(steps)?;
        if below_one && (sigmas[0] - 1.0).abs() < BELOW_ONE {
            sigmas[0] -= BELOW_ONE;
        }
        let timesteps = match &self.spacing {
            Spacing::Timesteps(given) => given[..steps].to_vec(),
            _ => sigmas.iter().map(|&sigma| feed.timestep(sigma)).collect(),
        };
        sigmas.push(match self.final_sigma {
            FinalSigma::At(sigma) => sigma,
            FinalSigma::Repeat => sigmas[steps - 1],
        });
        let sigmas = sigmas.into_iter().map(to_f32).collect();
        Schedule { sigmas, timesteps, feed }.checked()
    }

    fn sigmas(&self, steps: usize) -> Result<Vec<f64>> {
        let curve = match &self.spacing {
            Spacing::Uniform => return Ok(self.uniform(self.rule, steps)),
            Spacing::Sigmas(given) => return listed(given, steps),
            Spacing::Timesteps(given) => {
                let levels = listed(given, steps)?;
                return Ok(levels.into_iter().map(|timestep| timestep / self.num_train_timesteps).collect());
            }
            Spacing::Karras => spacing::karras,
            Spacing::Exponential => spacing::exponential,
            Spacing::Beta => spacing::beta,
        };
        // One rule gives the ends, so that a spacing means the same for every solver.
        let ends = self.uniform(Rule::FlowMatch, steps);
        Ok(curve(ends[0], ends[steps - 1], steps))
    }

    /// Equally spaced levels, shifted and stretched.
    fn uniform(&self, rule: Rule, steps: usize) -> Vec<f64> {
        let unshifted = self.unshifted(rule, steps);
        let mut sigmas: Vec<f64> = unshifted.into_iter().map(|sigma| shifted(sigma, self.shift)).collect();
        if let Some(terminal) = self.shift_terminal {
            stretch(&mut sigmas, terminal);
        }
        sigmas
    }

    fn unshifted(&self, rule: Rule, steps: usize) -> Vec<f64> {
        let least = 1.0 / self.num_train_timesteps;
        match rule {
            Rule::UniPc => linspace(1.0, least, steps + 1, steps),
            Rule::UniPcKarras { most, least } => spacing::karras(most, least, steps).into_iter().map(|rho| rho / (rho + 1.0)).collect(),
            // Computed from the other end and as 1 - x like there: timesteps are truncated, so the last bit counts.
            Rule::DpmSolver => linspace(1.0, least, steps + 1, steps + 1).into_iter().skip(1).rev().map(|alpha| 1.0 - alpha).collect(),
            Rule::FlowMatch => linspace(1.0, shifted_f32(least as f32, self.shift).into(), steps, steps),
            Rule::OfficialUniPc => linspace(to_f32(1.0 - least), 0.0, steps + 1, steps),
            Rule::Official => linspace(1.0, 0.0, steps + 1, steps),
        }
    }
}

impl Feed {
    fn timestep(self, sigma: f64) -> f64 {
        if self.whole { (sigma * self.num_train_timesteps).trunc() } else { (sigma as f32 * self.num_train_timesteps as f32).into() }
    }
}

impl Schedule {
    /// One evaluation a step, with the updates that `updates` gives for it.
    pub(super) fn evaluations(&self, updates: impl Fn(usize) -> Vec<Update>) -> Vec<Evaluation> {
        let levels = self.sigmas.iter().zip(&self.timesteps).enumerate();
        levels.map(|(step, (&sigma, &timestep))| Evaluation { step, sigma, timestep, updates: updates(step) }).collect()
    }

    pub(super) fn steps(&self) -> usize {
        self.timesteps.len()
    }

    /// What the model is fed at a level between those of the steps.
    pub(super) fn timestep(&self, sigma: f64) -> f64 {
        self.feed.timestep(sigma)
    }

    fn checked(self) -> Result<Self> {
        let falling =
            self.sigmas.windows(2).enumerate().all(|(i, pair)| pair[1] < pair[0] || (i + 1 == self.steps() && pair[1] == pair[0]));
        let in_range = self.sigmas.iter().all(|sigma| (0.0..=1.0).contains(sigma));
        if falling && in_range && self.sigmas[0] > 0.0 {
            return Ok(self);
        }
        Err(Error::Input(format!("these scheduler settings give noise levels that do not fall from 1 towards 0: {:?}", self.sigmas)))
    }
}

/// A caller's list of `steps` levels or timesteps, with or without a 0 behind.
fn listed(given: &[f64], steps: usize) -> Result<Vec<f64>> {
    let list = spacing::without_zero(given);
    if list.len() != steps {
        return Err(Error::Input(format!("{steps} inference steps, but {} noise levels or timesteps are listed", list.len())));
    }
    Ok(list.to_vec())
}

/// log(signal / noise) at a level: infinite at 0, minus infinite at 1.
pub(super) fn log_snr(sigma: f64) -> f64 {
    (1.0 - sigma).ln() - sigma.ln()
}

/// Moves a level in [0, 1] towards 1 for shift > 1; 0 and 1 stay.
fn shifted(sigma: f64, shift: f64) -> f64 {
    shift * sigma / (1.0 + (shift - 1.0) * sigma)
}

/// The same rounded to f32 after every operation.
fn shifted_f32(sigma: f32, shift: f64) -> f32 {
    shift as f32 * sigma / (1.0 + (shift - 1.0) as f32 * sigma)
}

/// Scales the distances from 1 so that the last level becomes `terminal`.
fn stretch(sigmas: &mut [f64], terminal: f64) {
    let scale = sigmas.last().map_or(1.0, |last| (1.0 - last) / (1.0 - terminal));
    sigmas.iter_mut().for_each(|sigma| *sigma = 1.0 - (1.0 - *sigma) / scale);
}

/// The first `take` of `count` equally spaced values from `from` to `to`.
fn linspace(from: f64, to: f64, count: usize, take: usize) -> Vec<f64> {
    let step = (to - from) / (count.max(2) - 1) as f64;
    (0..take).map(|i| if i > 0 && i + 1 == count { to } else { from + i as f64 * step }).collect()
}

fn to_f32(value: f64) -> f64 {
    (value as f32).into()
}
