//! A whole sampling run as data.

/// The slot that holds the latents: the initial noise before the first evaluation, what the model sees at each, the result after the last.
pub const LATENTS: usize = 0;

/// No [`Update`] has more terms than this.
pub const MAX_TERMS: usize = 6;

/// A whole sampling run: when to ask the model, and what to make of its answers.
#[derive(Debug, Clone, PartialEq)]
pub struct SolverPlan {
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

impl SolverPlan {
    pub(super) fn new(evaluations: Vec<Evaluation>) -> Self {
        let last = evaluations.iter().flat_map(|e| &e.updates).map(|update| update.into).max();
        Self { evaluations, slots: last.unwrap_or(LATENTS) + 1 }
    }
}

impl Update {
    /// Leaves out terms of weight zero, so that what is multiplied by nothing need not be finite, nor drawn.
    pub(super) fn new(into: usize, terms: impl IntoIterator<Item = (Term, f64)>) -> Self {
        Self { into, terms: terms.into_iter().filter(|&(_, weight)| weight != 0.0).collect() }
    }

    /// The model's estimate of the data: latents - sigma * velocity.
    pub(super) fn data(into: usize, sigma: f64) -> Self {
        Self::new(into, [(Term::Slot(LATENTS), 1.0), (Term::Velocity, -sigma)])
    }
}
