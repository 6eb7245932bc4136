//! From a request to frames.
//!
//! - [`builder`]: from where the parts of a checkpoint are ([`source`]) to loaded [`parts`], among them one transformer or two [`experts`];
//!   [`checkpoint`] opens them in the layout of diffusers, of the official [`release`], or one by one.
//! - [`request`]: the settings of one generation, their defaults and their validation; [`preset`]: sets of them.
//! - [`generation`]: the loop that all pipelines share, as an iterator of [`Event`]s, a piece of work at a time, on a [`canvas`]; [`denoise`]:
//!   the steps of it that follow a scheduler's plan; [`decoding`]: the frames that come of it; [`pace`]: how long is left.
//! - [`job`]: what tells kinds of generations apart.
//! - [`state`]: how far a generation has come, to [`resume`] later; [`description`]: what it must be a generation of.
//! - [`animate`] and [`video`]: what is particular to Animate, and to videos from text and images.
//! - [`segments`]: which input frames each window reads and which frames it gives, as pure arithmetic.
//! - [`rules`]: how images are prepared, by whose rules.
//! - [`conditioning`]: what the model is shown beside the noise.
//! - [`plan`]: what a generation takes and what stays on the GPU meanwhile, by a dry run on a pipeline's [`twin`], within a [`budget`].
//! - [`conversion`]: checkpoints saved in the layout of diffusers, in another form.
//! - [`limits`]: what is too large for the model or the adapter, found before any work is done.

pub mod animate;
pub mod budget;
pub mod builder;
pub(crate) mod canvas;
pub(crate) mod checkpoint;
pub mod conditioning;
pub mod conversion;
pub(crate) mod decoding;
pub mod denoise;
pub(crate) mod description;
pub mod event;
pub mod experts;
pub mod generation;
pub(crate) mod job;
pub mod latents;
pub(crate) mod limits;
pub(crate) mod pace;
pub(crate) mod parts;
pub mod plan;
pub mod preset;
pub(crate) mod release;
pub mod request;
pub(crate) mod resume;
pub(crate) mod rules;
pub mod segments;
pub mod source;
pub mod state;
pub(crate) mod texts;
pub(crate) mod twin;
pub mod video;

pub use animate::{AnimatePipeline, AnimateRequest};
pub use budget::MemoryBudget;
pub use builder::Builder;
pub use conversion::Conversion;
pub use event::{Event, Stage, Step};
pub use experts::Expert;
pub use generation::Generation;
pub use latents::Latents;
pub use plan::{Plan, StagePlan};
pub use preset::Preset;
pub use request::Request;
pub use state::State;
pub use video::{VideoPipeline, VideoRequest};
