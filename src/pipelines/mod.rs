//! From a request to frames. A folder uses only those above it.
//!
//! - [`checkpoint`]: from a checkpoint's files to loaded networks, which do not change from then on.
//! - [`run`]: a generation under way, with all that belongs to it alone.
//! - [`request`]: what is to be made, on which pipeline, with which settings.
//! - [`plan`]: what that takes, and what stays on the GPU meanwhile, by a dry run.
//! - [`tasks`]: what is particular to Animate, and to videos from text and images.
//! - [`conversion`]: checkpoints saved in the layout of diffusers, in another form.

pub(crate) mod checkpoint;
pub mod conversion;
pub(crate) mod plan;
pub(crate) mod request;
pub(crate) mod run;
pub(crate) mod tasks;
