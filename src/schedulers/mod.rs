//! Flow-matching schedulers, in pure f64: no tensor, no GPU.
//!
//! A scheduler is a [`SolverPlan`]: a flat list of model evaluations, each followed by linear combinations of tensors that the pipeline keeps in
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
mod dpmpp_single;
mod euler;
mod fields;
mod heun;
mod json;
mod kdpm2;
mod names;
mod plan;
mod polynomial;
mod scheduler;
mod sigmas;
mod spacing;
mod unipc;

pub use config::SchedulerConfig;
pub use names::Sampler;
pub use plan::{Evaluation, LATENTS, MAX_TERMS, SolverPlan, Term, Update};
pub use scheduler::Scheduler;
pub use spacing::Spacing;
