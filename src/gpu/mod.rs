//! The engine's floor: everything that talks to wgpu, and nothing that knows of models.
//!
//! - [`adapter`]: which GPUs there are, and choosing one.
//! - [`device`]: one that was opened with its real limits, or the host application's.
//! - [`arena`]: activation memory that is reused when its last [`Tensor`](crate::tensor::Tensor) drops, and accounting.
//! - [`family`]: which of several ways of writing an op's kernel an adapter gets.
//! - [`faults`]: allocations that fail on demand, for tests.
//! - [`kernel`]: WGSL files to pipelines. A kernel file holds a `Params` struct and one function of its workgroup, its lane
//!   and its parameters; bindings, their element formats and the entry point are generated around it, so that one file serves
//!   every storage format. Tile sizes are module constants in the generated head rather than pipeline `override`s, because
//!   arrays in registers cannot be sized by an `override`.
//! - [`rehearsal`]: what a dry device, which does nothing, was asked to do; for plans.
//! - [`sink`]: weights on their way to the GPU.
//! - [`profile`]: how long each kernel took, where that was asked for.
//! - [`recorder`]: dispatches to passes to submissions, cut into slices of time, with cancellation between submissions.
//! - [`tune`]: which tiles are fastest, by timing them once.

mod accessors;
pub mod adapter;
pub mod arena;
pub mod device;
pub mod family;
pub mod faults;
pub mod kernel;
pub mod profile;
pub mod recorder;
pub mod rehearsal;
pub mod sink;
pub mod tune;

pub use adapter::AdapterSummary;
pub use arena::{Arena, Block, MemoryUse};
pub use device::{Device, DeviceBuilder};
pub use family::Family;
pub use kernel::{Access, Arg, Element, Kernel, Needs, Slot};
pub use profile::Profile;
pub use recorder::{Probe, Recorder};
pub use rehearsal::Rehearsal;
pub use sink::Sink;
pub use tune::Tune;
