//! Noise levels: from how many, shifted how far, by whose rule.

use super::{Evaluation, Update};
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
}

/// Whose rule gives the unshifted levels and timesteps. They differ in the first level and in the rounding of timesteps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// diffusers `UniPCMultistepScheduler`: from a hair under 1, towards 1/1000.
    UniPc,
    /// diffusers `DPMSolverMultistepScheduler`: from 0.999, towards 0.
    DpmSolver,
    /// diffusers `FlowMatchEulerDiscreteScheduler`: from 1 to the shifted 1/1000, which is then shifted again; fractional timesteps.
    FlowMatchEuler,
    /// Official Wan UniPC: from 0.999, towards 0.
    OfficialUniPc,
    /// Official Wan DPM++: from exactly 1, towards 0.
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
pub(super) struct Spacing {
    pub(super) rule: Rule,
    pub(super) shift: f64,
    /// If given, the levels are stretched so that the last step begins at this one.
    pub(super) shift_terminal: Option<f64>,
    pub(super) final_sigma: FinalSigma,
    /// How many timesteps a level of 1 stands for.
    pub(super) num_train_timesteps: f64,
}

impl Spacing {
    /// The levels and timesteps of a run of `steps` steps.
    pub(super) fn schedule(&self, steps: usize) -> Result<Schedule> {
        if !(1..=MAX_STEPS).contains(&steps) {
            return Err(Error::Input(format!("{steps} inference steps: give 1 to {MAX_STEPS}")));
        }
        if !(self.shift.is_finite() && self.shift > 0.0) {
            return Err(Error::Input(format!("shift {}: give a number above 0", self.shift)));
        }
        let mut sigmas: Vec<f64> = self.unshifted(steps).into_iter().map(|sigma| shifted(sigma, self.shift)).collect();
        if let Some(terminal) = self.shift_terminal {
            stretch(&mut sigmas, terminal);
        }
        if self.rule == Rule::UniPc && (sigmas[0] - 1.0).abs() < BELOW_ONE {
            sigmas[0] -= BELOW_ONE;
        }
        let timesteps = sigmas.iter().map(|&sigma| self.timestep(sigma)).collect();
        sigmas.push(match self.final_sigma {
            FinalSigma::At(sigma) => sigma,
            FinalSigma::Repeat => sigmas[steps - 1],
        });
        let sigmas = sigmas.into_iter().map(to_f32).collect();
        Schedule { sigmas, timesteps }.checked()
    }

    fn unshifted(&self, steps: usize) -> Vec<f64> {
        let least = 1.0 / self.num_train_timesteps;
        match self.rule {
            Rule::UniPc => linspace(1.0, least, steps + 1, steps),
            // Computed from the other end and as 1 - x like there: timesteps are truncated, so the last bit counts.
            Rule::DpmSolver => linspace(1.0, least, steps + 1, steps + 1).into_iter().skip(1).rev().map(|alpha| 1.0 - alpha).collect(),
            Rule::FlowMatchEuler => linspace(1.0, shifted_f32(least as f32, self.shift).into(), steps, steps),
            Rule::OfficialUniPc => linspace(to_f32(1.0 - least), 0.0, steps + 1, steps),
            Rule::Official => linspace(1.0, 0.0, steps + 1, steps),
        }
    }

    fn timestep(&self, sigma: f64) -> f64 {
        match self.rule {
            Rule::FlowMatchEuler => (sigma as f32 * self.num_train_timesteps as f32).into(),
            _ => (sigma * self.num_train_timesteps).trunc(),
        }
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
