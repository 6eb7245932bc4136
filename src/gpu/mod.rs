//! The engine's floor: everything that talks to wgpu, and nothing that knows of models.
//!
//! - [`adapter`]: which GPUs there are, and choosing one. [`builder`]: opening it with its real limits, or sharing the host application's;
//!   [`device`]: what comes of it.
//! - [`tensor`]: a buffer, a shape and an element type. [`arena`]: memory that is reused when its last tensor drops; [`memory`]: how much there
//!   is of it; [`faults`]: allocations that fail on demand, for tests.
//! - [`gpu_frame`]: a picture that stays there.
//! - [`family`]: which of several ways of writing an op's kernel an adapter gets; [`tune`]: which tiles are fastest, by timing them once.
//! - [`kernel`]: what a WGSL file is and needs; [`arg`]: its arguments. The files hold a `Params` struct and one function of its workgroup,
//!   its lane and its parameters; [`compose`] generates bindings, their element formats and the entry point around it, so that one file serves
//!   every storage format. Tile sizes are module constants in the generated head rather than pipeline `override`s, because
//!   arrays in registers cannot be sized by an `override`. [`build`] compiles them, [`pipeline`] keeps what was compiled.
//! - [`activation`]: functions of single elements that kernels take by a number, with their formulas.
//! - [`cost`]: what a dispatch takes of arithmetic and memory. [`recorder`]: what ops record. It comes to [`command`]s, which are data. An [`engine`] takes them: the live one submits them in slices of
//!   time, with cancellation between submissions; the dry one prices them, and a [`rehearsal`] has the sums, for plans.
//! - [`submitted`], [`pending`]: waiting, and [`download`]: what is waited for. [`rate`]: how fast the device is.
//! - [`turns`]: whose turn it is, where several want to work.
//! - [`sink`]: weights on their way to the GPU.
//! - [`profile`]: how long each kernel took, where that was asked for, measured by a [`timer`].

mod accessors;
pub mod activation;
pub mod adapter;
pub mod arena;
pub mod arg;
mod build;
pub mod builder;
mod command;
mod compose;
pub mod cost;
pub mod device;
pub mod download;
pub mod engine;
pub mod family;
mod faults;
pub mod gpu_frame;
pub mod kernel;
mod library;
pub mod memory;
mod pending;
pub mod pipeline;
pub mod profile;
mod rate;
pub mod recorder;
pub mod rehearsal;
pub mod sink;
mod submitted;
pub mod tensor;
mod timer;
pub mod tune;
pub mod turns;

pub use adapter::AdapterSummary;
pub use arena::{Allocation, Arena};
pub use arg::Arg;
pub use builder::DeviceBuilder;
pub use compose::Dialect;
pub use cost::Cost;
pub use device::Device;
pub use download::Download;
pub use engine::Probe;
pub use family::Family;
pub use gpu_frame::GpuFrame;
pub use kernel::{Access, Kernel, Needs, Slot};
pub use memory::MemoryUse;
pub use pipeline::{Element, PipelineKey};
pub use profile::Profile;
pub use recorder::Recorder;
pub use rehearsal::Rehearsal;
pub use sink::Sink;
pub use tensor::Tensor;
pub use tune::Tune;
pub use turns::WhenBusy;
