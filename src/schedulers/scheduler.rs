//! Which solvers there are: what each is called, and what it does.

use super::dpmpp::{self, DpmPp};
use super::unipc::{self, UniPc};
use super::{adams::Adams, ancestral::Depth, deis::Deis, dpmpp_sde, dpmpp_single, euler, heun, kdpm2, plan::Evaluation, sigmas::Schedule};

/// Which solver takes the latents from noise to data. Those "with noise" add fresh noise on the way; the others follow the flow.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheduler {
    /// UniPC of order 2 (bh2): a predictor and, without a further evaluation, a corrector. `unipc`.
    UniPc,
    /// UniPC of order 3 (bh2). `unipc 3m`.
    UniPc3M,
    /// DPM-Solver++ multistep of order 2 (midpoint). `dpm++`, `dpm++ 2m`.
    DpmPp2M,
    /// DPM-Solver++ multistep of order 3 by name: it uses three estimates, and converges at order 2 as its formula was published.
    /// `dpm++ 3m`.
    DpmPp3M,
    /// DPM-Solver++ multistep of order 2 with noise. `dpm++ 2m sde`.
    DpmPp2MSde,
    /// DPM-Solver++ multistep with noise that uses three estimates, as k-diffusion knows it. `dpm++ 3m sde`.
    DpmPp3MSde,
    /// DPM-Solver++ of order 2 with noise: two evaluations a step. `dpm++ sde`.
    DpmPpSde,
    /// DPM-Solver++ single-step of order 2: steps go in pairs, so that their number should be odd. `dpm++ 2s`.
    DpmPp2S,
    /// Euler's method along the flow. `euler`, and `ddim`, which is the same for a flow.
    Euler,
    /// Euler's method below the next level and back with noise. `euler a`.
    EulerAncestral,
    /// Heun's method: two evaluations a step. `heun`.
    Heun,
    /// The midpoint method in the logarithm of the level: two evaluations a step. `kdpm2`.
    Kdpm2,
    /// The same below the next level and back with noise. `kdpm2 a`.
    Kdpm2Ancestral,
    /// Linear multistep of order 4. `lms`.
    Lms,
    /// DEIS multistep of order 2. `deis`.
    Deis,
    /// Linear multistep of order 4 with constant weights. `ipndm`.
    Ipndm,
    /// To the estimated data and back with noise; for models distilled to consistency. `lcm`.
    Lcm,
    /// Like LCM with less noise (gamma 0.3); for models distilled to trajectory consistency. `tcd`.
    Tcd,
}

impl Scheduler {
    /// Whether it adds fresh noise on the way.
    pub fn is_stochastic(self) -> bool {
        matches!(
            self,
            Self::DpmPp2MSde | Self::DpmPp3MSde | Self::DpmPpSde | Self::EulerAncestral | Self::Kdpm2Ancestral | Self::Lcm | Self::Tcd
        )
    }

    /// Its names in lower case, the shortest first: this crate's own, Runware's and the classes of diffusers.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Self::UniPc => &["unipc", "unipc 2m", "unipcmultistepscheduler"],
            Self::UniPc3M => &["unipc 3m"],
            Self::DpmPp2M => &["dpm++ 2m", "dpm++", "dpmsolvermultistepscheduler"],
            Self::DpmPp3M => &["dpm++ 3m"],
            Self::DpmPp2MSde => &["dpm++ 2m sde"],
            Self::DpmPp3MSde => &["dpm++ 3m sde"],
            Self::DpmPpSde => &["dpm++ sde", "dpmsolversdescheduler"],
            Self::DpmPp2S => &["dpm++ 2s", "dpmsolversinglestepscheduler"],
            Self::Euler => {
                &["euler", "euler discretescheduler", "flowmatcheulerdiscretescheduler", "eulerdiscretescheduler", "ddim", "ddimscheduler"]
            }
            Self::EulerAncestral => &["euler a", "euler ancestral", "ltxeulerancestralrfscheduler", "eulerancestraldiscretescheduler"],
            Self::Heun => &["heun", "flowmatchheundiscretescheduler", "heundiscretescheduler"],
            Self::Kdpm2 => &["kdpm2", "dpm2", "kdpm2discretescheduler"],
            Self::Kdpm2Ancestral => &["kdpm2 a", "dpm2 a", "kdpm2ancestraldiscretescheduler"],
            Self::Lms => &["lms", "lmsdiscretescheduler"],
            Self::Deis => &["deis", "deismultistepscheduler"],
            Self::Ipndm => &["ipndm", "ipndmscheduler"],
            Self::Lcm => &["lcm", "lcmscheduler", "flowmatchlcmscheduler"],
            Self::Tcd => &["tcd", "tcdscheduler"],
        }
    }

    /// The power of the step's length that the error falls with where the model is smooth; none for those that are made for distilled models,
    /// and go to the data in every step.
    pub fn order(self) -> Option<u32> {
        match self {
            Self::Euler | Self::EulerAncestral | Self::Kdpm2Ancestral => Some(1),
            Self::Heun
            | Self::DpmPp2M
            | Self::DpmPp2MSde
            | Self::DpmPp3MSde
            | Self::DpmPpSde
            | Self::DpmPp2S
            | Self::Kdpm2
            | Self::Deis => Some(2),
            // Its published third term has half the weight that order 3 would take.
            Self::DpmPp3M => Some(2),
            // Its constant weights are for equal steps only; there, the start at order 1 limits it.
            Self::Ipndm => Some(2),
            // The corrector adds one to the order.
            Self::UniPc => Some(3),
            Self::UniPc3M | Self::Lms => Some(4),
            Self::Lcm | Self::Tcd => None,
        }
    }

    /// All of them.
    pub const ALL: &[Self] = &[
        Self::UniPc,
        Self::UniPc3M,
        Self::DpmPp2M,
        Self::DpmPp3M,
        Self::DpmPp2MSde,
        Self::DpmPp3MSde,
        Self::DpmPpSde,
        Self::DpmPp2S,
        Self::Euler,
        Self::EulerAncestral,
        Self::Heun,
        Self::Kdpm2,
        Self::Kdpm2Ancestral,
        Self::Lms,
        Self::Deis,
        Self::Ipndm,
        Self::Lcm,
        Self::Tcd,
    ];
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

impl Solver {
    pub(super) fn of(scheduler: Scheduler) -> Self {
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
    pub(super) fn begins_below_one(&self) -> bool {
        matches!(self, Self::UniPc(_) | Self::DpmPpSde | Self::DpmPpSingle(_) | Self::Deis(_))
    }

    /// When to ask the model on these noise levels, and what to make of its answers.
    pub(super) fn evaluations(&self, schedule: &Schedule) -> Vec<Evaluation> {
        match self {
            Self::UniPc(solver) => solver.plan(schedule),
            Self::DpmPp(solver) => solver.plan(schedule),
            Self::DpmPpSde => dpmpp_sde::plan(schedule),
            Self::DpmPpSingle(form) => dpmpp_single::plan(*form, schedule),
            Self::Euler => euler::plan(schedule),
            Self::Ancestral(depth) => depth.plan(schedule),
            Self::Heun => heun::plan(schedule),
            Self::Kdpm2(depth) => kdpm2::plan(*depth, schedule),
            Self::Adams(solver) => solver.plan(schedule),
            Self::Deis(solver) => solver.plan(schedule),
        }
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
