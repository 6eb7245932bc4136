//! A scheduler with its settings: chosen by name, or read from a checkpoint's `scheduler_config.json`.

use super::sigmas::{FinalSigma, Levels, Rule};
use super::{names::Sampler, plan::SolverPlan, scheduler::Scheduler, scheduler::Solver, spacing::Spacing};
use crate::Result;

/// The models' training timesteps, and the shift of their official configurations.
pub(super) const NUM_TRAIN_TIMESTEPS: f64 = 1000.0;
const DEFAULT_SHIFT: f64 = 5.0;

/// A scheduler and everything that decides its plan but the number of steps.
#[derive(Debug, Clone, PartialEq)]
pub struct SchedulerConfig {
    pub(super) scheduler: Scheduler,
    pub(super) solver: Solver,
    pub(super) levels: Levels,
    pub(super) official: bool,
}

impl SchedulerConfig {
    /// The scheduler on the noise levels of the official Wan code; for checkpoints in the official layout. Shift 5.
    pub fn official(scheduler: Scheduler) -> Self {
        Self::new(scheduler, DEFAULT_SHIFT, NUM_TRAIN_TIMESTEPS, true)
    }

    /// The scheduler as the diffusers class of that name runs it for flow matching, with its defaults otherwise; on the levels of
    /// `FlowMatchEulerDiscreteScheduler` if there is no such class. Shift 5. (DEIS differs from its class, which stops before the data: see
    /// [`parse`](Self::parse).)
    pub fn diffusers(scheduler: Scheduler) -> Self {
        Self::new(scheduler, DEFAULT_SHIFT, NUM_TRAIN_TIMESTEPS, false)
    }

    fn new(scheduler: Scheduler, shift: f64, num_train_timesteps: f64, official: bool) -> Self {
        let rule = match scheduler {
            Scheduler::UniPc | Scheduler::UniPc3M if official => Rule::OfficialUniPc,
            _ if official => Rule::Official,
            Scheduler::UniPc | Scheduler::UniPc3M => Rule::UniPc,
            Scheduler::DpmPp2M
            | Scheduler::DpmPp3M
            | Scheduler::DpmPp2MSde
            | Scheduler::DpmPp3MSde
            | Scheduler::DpmPp2S
            | Scheduler::Deis => Rule::DpmSolver,
            _ => Rule::FlowMatch,
        };
        let final_sigma = FinalSigma::At(0.0);
        let levels = Levels { rule, spacing: Spacing::Uniform, shift, shift_terminal: None, final_sigma, num_train_timesteps };
        Self { scheduler, solver: Solver::of(scheduler), levels, official }
    }

    /// Which scheduler this is.
    pub fn scheduler(&self) -> Scheduler {
        self.scheduler
    }

    /// The shift: above 1 it spends more steps at high noise, below 1 at low noise.
    pub fn shift(&self) -> f64 {
        self.levels.shift
    }

    /// How many timesteps a noise level of 1 stands for.
    pub fn num_train_timesteps(&self) -> f64 {
        self.levels.num_train_timesteps
    }

    /// The number of steps that an explicit list of noise levels or timesteps fixes.
    pub fn steps(&self) -> Option<usize> {
        self.levels.spacing.steps()
    }

    /// Replaces the shift; any number above 0.
    #[must_use]
    pub fn with_shift(mut self, shift: f64) -> Self {
        self.levels.shift = shift;
        self
    }

    /// Replaces how the noise levels are spread.
    #[must_use]
    pub fn with_spacing(mut self, spacing: Spacing) -> Self {
        self.levels.spacing = spacing;
        self
    }

    /// Replaces the scheduler by another with its default settings, keeping shift, spacing and whose rules are followed. Choosing the
    /// scheduler that it already is changes nothing.
    #[must_use]
    pub fn with_scheduler(self, scheduler: Scheduler) -> Self {
        if scheduler == self.scheduler {
            return self;
        }
        let Levels { shift, spacing, num_train_timesteps, .. } = self.levels;
        Self::new(scheduler, shift, num_train_timesteps, self.official).with_spacing(spacing)
    }

    /// Replaces scheduler and spacing as far as the sampler names them.
    #[must_use]
    pub fn with_sampler(self, sampler: Sampler) -> Self {
        let scheduler = sampler.scheduler.unwrap_or(self.scheduler);
        let spacing = sampler.spacing.unwrap_or_else(|| self.levels.spacing.clone());
        self.with_scheduler(scheduler).with_spacing(spacing)
    }

    /// The plan of a run of `num_inference_steps` steps.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) when the steps are not in 1 to 10,000 or not as many as an explicit list has, the shift is not
    /// above 0, or the settings give no falling noise levels.
    pub fn plan(&self, num_inference_steps: usize) -> Result<SolverPlan> {
        let schedule = self.levels.schedule(num_inference_steps, self.solver.begins_below_one())?;
        Ok(SolverPlan::new(self.solver.evaluations(&schedule)))
    }
}
