//! A generation under way.
//!
//! - [`generation`]: the loop that all pipelines share, as an iterator of [`event`]s, a piece of work at a time; [`denoise`]: the steps of it
//!   that follow a scheduler's plan, in a [`course`] that says which are computed, and [`reuse`] of what was, of whole
//!   [`predictions`] too; [`calibration`]: what a reuse of later runs goes by; [`decoding`]: the frames that come of it,
//!   whose colours a [`color_anchor`] may hold; [`pace`]: how long is left, at first by a [`forecast`].
//! - [`job`]: what tells kinds of generations apart.
//! - [`settings`]: what a user may say; [`canvas`]: what is to be filled, in [`segments`] or as one, seen in [`windows`]; [`limits`]: what is too large for the model or the
//!   adapter, found before any work is done.
//! - [`budget`]: how much GPU memory it may take; [`arrangement`]: what stays on the GPU so that it does not.
//! - [`state`]: how far it has come, to [`resume`] later; [`description`]: what it must be a generation of.
//! - [`latents`], and the [`conditioning`] that the model is shown beside them.

pub(crate) mod arrangement;
pub(crate) mod budget;
pub(crate) mod calibration;
pub(crate) mod canvas;
pub(crate) mod color_anchor;
pub(crate) mod conditioning;
pub(crate) mod course;
pub(crate) mod crop;
pub(crate) mod decoding;
pub(crate) mod denoise;
pub(crate) mod description;
pub(crate) mod event;
pub(crate) mod forecast;
pub(crate) mod generation;
pub(crate) mod job;
pub(crate) mod latents;
pub(crate) mod limits;
pub(crate) mod pace;
pub(crate) mod predictions;
pub(crate) mod resume;
pub(crate) mod reuse;
pub(crate) mod segments;
pub(crate) mod settings;
pub(crate) mod state;
pub(crate) mod windows;
