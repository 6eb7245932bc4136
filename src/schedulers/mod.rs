//! Flow-matching schedulers, in pure f64: no tensor, no GPU.
//!
//! A scheduler is a [`Plan`]: a flat list of model evaluations, each followed by linear combinations of tensors that the pipeline keeps in
//! numbered slots. Every scheduler, however many orders, correctors, evaluations or random draws a step has, therefore runs in one loop:
//!
//! ```text
//! slots[LATENTS] = initial noise
//! for evaluation in plan.evaluations:
//!     velocity = model(slots[LATENTS], evaluation.timestep)        // after guidance
//!     for update in evaluation.updates:                            // in order
//!         slots[update.into] = sum of weight * tensor over update.terms
//! result = slots[LATENTS]
//! ```
//!
//! The model predicts the flow's velocity, noise minus data, at `latents = (1 - sigma) * data + sigma * noise`.

mod adams;
mod ancestral;
mod config;
mod deis;
mod diffusion;
mod dpmpp;
mod dpmpp_sde;
mod euler;
mod heun;
mod json;
mod names;
mod polynomial;
mod sigmas;
mod spacing;
mod unipc;

pub use config::SchedulerConfig;
pub use names::Sampler;
pub use spacing::Spacing;

/// The slot that holds the latents: the initial noise before the first evaluation, what the model sees at each, the result after the last.
pub const LATENTS: usize = 0;

/// No [`Update`] has more terms than this.
pub const MAX_TERMS: usize = 6;

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
    /// DPM-Solver++ of order 2 with noise: two evaluations a step. `dpm++ sde`.
    DpmPpSde,
    /// Euler's method along the flow. `euler`, and `ddim`, which is the same for a flow.
    Euler,
    /// Euler's method below the next level and back with noise. `euler a`.
    EulerAncestral,
    /// Heun's method: two evaluations a step. `heun`.
    Heun,
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

/// A whole sampling run: when to ask the model, and what to make of its answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The model evaluations, in order; at least one.
    pub evaluations: Vec<Evaluation>,
    /// How many tensors of the latents' shape to keep; slot numbers are below this. Only [`LATENTS`] has a content at the start.
    pub slots: usize,
}

/// One evaluation of the model on the content of [`LATENTS`], and what follows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The inference step that this evaluation serves, from 0; schedulers that evaluate twice a step repeat it.
    pub step: usize,
    /// Noise level of the latents, in (0, 1]. The model's estimate of the data is `latents - sigma * velocity`.
    pub sigma: f64,
    /// What the model is fed, in [0, 1000]; whole for schedulers that truncate it.
    pub timestep: f64,
    /// What to compute once the velocity is there, in this order.
    pub updates: Vec<Update>,
}

/// One linear combination: `slots[into] = sum of weight * tensor`.
///
/// All terms are read before `into` is overwritten, so that a slot may be among its own terms. There are one to [`MAX_TERMS`] terms, all of
/// different tensors, with finite weights other than zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// The slot that receives the result.
    pub into: usize,
    /// Tensors and their weights.
    pub terms: Vec<(Term, f64)>,
}

/// A tensor in a linear combination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// The content of a slot, written by an earlier update or, for [`LATENTS`], at the start.
    Slot(usize),
    /// The model's output at this evaluation, after guidance.
    Velocity,
    /// Standard normal noise, drawn anew for every update that names it.
    Noise,
}

impl Plan {
    fn new(evaluations: Vec<Evaluation>) -> Self {
        let last = evaluations.iter().flat_map(|e| &e.updates).map(|update| update.into).max();
        Self { evaluations, slots: last.unwrap_or(LATENTS) + 1 }
    }
}

impl Update {
    /// Leaves out terms of weight zero, so that what is multiplied by nothing need not be finite, nor drawn.
    fn new(into: usize, terms: impl IntoIterator<Item = (Term, f64)>) -> Self {
        Self { into, terms: terms.into_iter().filter(|&(_, weight)| weight != 0.0).collect() }
    }

    /// The model's estimate of the data: latents - sigma * velocity.
    fn data(into: usize, sigma: f64) -> Self {
        Self::new(into, [(Term::Slot(LATENTS), 1.0), (Term::Velocity, -sigma)])
    }
}
