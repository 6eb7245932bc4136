//! A scheduler with its settings: chosen by name, or read from a checkpoint's `scheduler_config.json`.

use super::dpmpp::{self, DpmPp};
use super::sigmas::{FinalSigma, Levels, Rule};
use super::unipc::{self, UniPc};
use super::{
    adams::Adams, ancestral::Depth, deis::Deis, dpmpp_sde, dpmpp_single, euler, heun, kdpm2, names::Sampler, plan::Plan,
    scheduler::Scheduler, spacing::Spacing,
};
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

/// A solver with its settings.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Solver {
    UniPc(UniPc),
    DpmPp(DpmPp),
    DpmPpSde,
    DpmPpSingle(dpmpp::Form),
    Euler,
    Ancestral(Depth),
    Heun,
    Kdpm2(Depth),
    Adams(Adams),
    Deis(Deis),
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
    pub fn plan(&self, num_inference_steps: usize) -> Result<Plan> {
        let schedule = self.levels.schedule(num_inference_steps, self.solver.begins_below_one())?;
        Ok(Plan::new(match &self.solver {
            Solver::UniPc(solver) => solver.plan(&schedule),
            Solver::DpmPp(solver) => solver.plan(&schedule),
            Solver::DpmPpSde => dpmpp_sde::plan(&schedule),
            Solver::DpmPpSingle(form) => dpmpp_single::plan(*form, &schedule),
            Solver::Euler => euler::plan(&schedule),
            Solver::Ancestral(depth) => depth.plan(&schedule),
            Solver::Heun => heun::plan(&schedule),
            Solver::Kdpm2(depth) => kdpm2::plan(*depth, &schedule),
            Solver::Adams(solver) => solver.plan(&schedule),
            Solver::Deis(solver) => solver.plan(&schedule),
        }))
    }
}

impl Solver {
    fn of(scheduler: Scheduler) -> Self {
        match scheduler {
            Scheduler::UniPc => Self::UniPc(UniPc::default()),
            Scheduler::UniPc3M => Self::UniPc(UniPc { order: 3, ..UniPc::default() }),
            Scheduler::DpmPp2M => Self::DpmPp(DpmPp::default()),
            Scheduler::DpmPp3M => Self::DpmPp(DpmPp { order: 3, ..DpmPp::default() }),
            Scheduler::DpmPp2MSde => Self::DpmPp(DpmPp { stochastic: true, ..DpmPp::default() }),
            // The steps of k-diffusion, which lowers no order at the end.
            Scheduler::DpmPp3MSde => {
                Self::DpmPp(DpmPp { order: 3, form: dpmpp::Form::Heun, stochastic: true, lower_order_final: false, ..DpmPp::default() })
            }
            Scheduler::DpmPpSde => Self::DpmPpSde,
            Scheduler::DpmPp2S => Self::DpmPpSingle(dpmpp::Form::Midpoint),
            Scheduler::Euler => Self::Euler,
            Scheduler::EulerAncestral => Self::Ancestral(Depth::Step { eta: 1.0 }),
            Scheduler::Heun => Self::Heun,
            Scheduler::Kdpm2 => Self::Kdpm2(Depth::NONE),
            Scheduler::Kdpm2Ancestral => Self::Kdpm2(Depth::Step { eta: 1.0 }),
            Scheduler::Lms => Self::Adams(Adams::Lms),
            Scheduler::Deis => Self::Deis(Deis::default()),
            Scheduler::Ipndm => Self::Adams(Adams::Ipndm),
            Scheduler::Lcm => Self::Ancestral(Depth::DATA),
            Scheduler::Tcd => Self::Ancestral(Depth::Part { gamma: 0.3 }),
        }
    }

    /// Whether the solver cannot begin at level 1, where the log signal-to-noise is infinite.
    fn begins_below_one(&self) -> bool {
        matches!(self, Self::UniPc(_) | Self::DpmPpSde | Self::DpmPpSingle(_) | Self::Deis(_))
    }
}

impl Default for UniPc {
    fn default() -> Self {
        Self { order: 2, form: unipc::Form::Bh2, lower_order_final: true, disable_corrector: Vec::new() }
    }
}

impl Default for DpmPp {
    fn default() -> Self {
        Self { order: 2, form: dpmpp::Form::Midpoint, lower_order_final: true, euler_at_final: false, stochastic: false }
    }
}

impl Default for Deis {
    fn default() -> Self {
        Self { order: 2, lower_order_final: true }
    }
}
