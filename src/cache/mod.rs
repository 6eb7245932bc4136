//! Which evaluations of a model are computed, and which reuse what its layers did before: numbers alone, no tensor, no GPU.
//!
//! A [`Cache`](settings::Cache) is what a user asks for: a [`method`], and [bounds](bound) within which evaluations may be reused. With the
//! noise levels of a run it becomes [`steps`]: [`mask`]s, for methods that know beforehand, by the [`curve`] of a model, by the [`tables`] of
//! its like, or by [policies](scm); or what decides on the way by what it is told of the model: a [`judge`] of changes after the first layers,
//! or [`easy`], of changes of latents and predictions.

pub(crate) mod bound;
pub(crate) mod curve;
pub(crate) mod easy;
pub(crate) mod judge;
pub(crate) mod mask;
pub(crate) mod method;
pub(crate) mod scm;
pub(crate) mod settings;
pub(crate) mod steps;
pub(crate) mod tables;
