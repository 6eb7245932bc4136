//! Wan2.2 video generation, above all Wan2.2-Animate-14B, on any Vulkan, Metal or DX12 GPU: no CUDA, no Python, no framework.
//!
//! A character image plus a driving video gives either that character performing the motion
//! ([`animate_video`](AnimatePipeline::animate_video)) or that character in place of the person in the video
//! ([`replace_video`](AnimatePipeline::replace_video)). [`VideoPipeline`] makes videos from text, from a first image, or from a first and a
//! last one. The results are those of the reference implementation, diffusers' `WanAnimatePipeline`, `WanPipeline` and
//! `WanImageToVideoPipeline`, which the tests compare every part with; for checkpoints in the layout of the official release
//! those of its own code, with whose frames the tests compare theirs.
//!
//! ```no_run
//! use wan_animate::driving::DrivingVideo;
//! use wan_animate::video::{Frames, VideoWriter, open_image};
//! use wan_animate::{AnimatePipeline, Cancel, Device, Event};
//!
//! # fn main() -> wan_animate::Result<()> {
//! let device = Device::builder().build()?; // or `Device::from_wgpu` with the device that your application owns
//! let pipeline = AnimatePipeline::builder(&device).checkpoint("examples/demo/model").build()?; // the small one of the repository
//! let character = open_image("examples/demo/reference.png")?;
//! let driving = DrivingVideo::new(Frames::open("examples/demo/driving.mp4")?); // networks find the person in it
//! let cancel = Cancel::new(); // Clone + Send: for a button in another thread
//! let generation = pipeline
//!     .animate_video(&character, &driving)? // or `animate`, with poses and faces that were made before
//!     .size(96, 96) // the published checkpoint: 832x480 or 1280x720, segments of 77 frames, 20 steps
//!     .segment_frames(17)
//!     .num_inference_steps(4)
//!     .seed(42)
//!     .cancel(cancel.clone())
//!     .start()?;
//! let mut writer = VideoWriter::create("out.mp4", 96, 96, 16.0)?;
//! for event in generation {
//!     match event? {
//!         Event::Step(step) => eprintln!("{step}"), // "segment 2/5, step 7/20, sigma 0.714, 3.1 s"
//!         Event::Frame(frame) => writer.write(&frame)?, // as soon as it is decoded
//!         _ => {}
//!     }
//! }
//! writer.finish()
//! # }
//! ```
//!
//! # What it does not do
//! It brings no networks that find a person in a raw video: [`networks`] runs those that users have as ONNX files, or poses, faces, background and
//! mask come from Wan2.2's own preprocessing. Masks over time by SAM 2 are not in it yet. It reads checkpoints in the layout of diffusers and of the official releases, and single files, and saves any of
//! them in the layout of diffusers ([`Conversion`]).
//!
//! # In an application
//! - **Threads.** Everything is [`Send`], and all but generations, writers and conversions [`Sync`]. A [`Generation`] borrows nothing: it works in
//!   the thread that asks it for events, and for as long as it is asked, so a worker with a channel is all it takes. [`Cancel`] stops
//!   it from another thread, between two submissions to the GPU; dropping it does too.
//! - **Executors.** Loading and generating block, so they belong on a thread that may (`spawn_blocking`). The example `tokio` awaits frames
//!   from there; a future that is dropped sets the flag, and the GPU is free for the next request.
//! - **A device of its own.** [`Device::from_wgpu`] works on the application's device and queue. What it submits is cut into slices of
//!   time, and a queue runs in order: what an application submits waits for the slices before it. Callbacks of the application's own may
//!   run in the generation's thread, which polls the device.
//! - **Inputs.** [`Motion`](video::Motion) and [`Scene`](video::Scene) say what is stretched to the result's size and what is fitted into it;
//!   [`preprocess`] draws poses and cuts out faces. Frames come from files, memory, or a [`FrameSource`](video::FrameSource).
//! - **Errors** are matched by variant, or logged by [`code`](Error::code). After any of them, a lost GPU among them, the
//!   [`State`] says what is left to do, and [`Request::resume`] does it.
//! - **Long videos** are made in segments, each from the end of the one before; [`continue_from`](AnimateRequest::continue_from) makes them in
//!   requests of their own.
//!
//! # Features
//! - `mmap` (default): checkpoints on disk are mapped, so that no copy of them is in memory. Without it what is needed is read, as it is from
//!   [`Location`]s in memory.
//! - `mp4` (default): reads and writes MP4 and MOV with H.264. Compiles OpenH264, for which a C++ compiler is needed. Cisco's
//!   patent licence covers the binaries that Cisco distributes, not builds from source.
//!   Needs Rust 1.93.
//! - `ffmpeg` (default): other videos and pictures are read through the program of that name, where there is one.
//! - `webm`: writes WebM with AV1.
//! - `serde`: settings that applications keep in files are `Serialize` and `Deserialize`, by the names that they parse.
//! - `webgpu`: for `wasm32-unknown-unknown`, where the library type-checks. Generations block, which a browser allows in no thread of its
//!   own, so it has not been run there.
//!
//! # Precision and repeatability
//! [`Precision::F16`] halves the memory of operands; [`Precision::F32`] agrees with the reference in f32. All sums are f32 in
//! both. The same request gives the same bits on the same adapter and driver. Vulkan is tested on software drivers; the shaders
//! are translated for Metal and DX12 and validated, but have not been run there.
//!
//! The minimum supported Rust version is that of `Cargo.toml`.

mod as_text;
mod cache;
mod cancel;
mod content;
mod cores;
mod count;
mod digest;
pub mod driving;
mod dtype;
mod error;
mod gpu;
mod json;
#[allow(missing_docs, reason = "shown by `unversioned` alone")]
mod layers;
#[allow(missing_docs, reason = "shown by `unversioned` alone")]
mod linalg;
mod location;
#[allow(missing_docs, reason = "shown by `unversioned` alone")]
mod models;
pub mod networks;
#[allow(missing_docs, reason = "shown by `unversioned` alone")]
mod onnx;
#[allow(missing_docs, reason = "shown by `unversioned` alone")]
mod ops;
mod partial_file;
mod partial_folder;
mod pipelines;
pub mod preprocess;
mod rng;
pub mod safety;
mod schedulers;
#[allow(missing_docs, reason = "shown by `unversioned` alone")]
mod shape;
#[allow(missing_docs, reason = "shown by `unversioned` alone")]
mod tokenizer;
#[doc(hidden)]
pub mod unversioned;
pub mod video;
#[allow(missing_docs, reason = "shown by `unversioned` alone")]
mod vocabulary;
mod weights;

pub use cache::{bound::CacheBound, curve::CacheCurve, method::CacheMethod, method::ScmPolicy, settings::Cache};
pub use cancel::Cancel;
pub use content::Content;
pub use error::{Error, Result};
pub use gpu::{AdapterSummary, Device, DeviceBuilder, Family, GpuFrame, MemoryUse, Profile, Tune, WhenBusy, profile::Span};
pub use layers::Precision;
pub use location::Location;
pub use models::dit::{beside::DrivingCache, radial::RadialAttention};
pub use models::inspect::{WeightsReport, inspect_weights};
pub use models::vae::tiling::VaeTiling;
pub use pipelines::checkpoint::{expert::Expert, variant::Animate2Variant};
pub use pipelines::conversion::Conversion;
pub use pipelines::plan::{report::Plan, stage::StagePlan};
pub use pipelines::request::{Request, builder::Builder, builder::Loading, pipeline::Pipeline, preset::Preset, task::Task};
pub use pipelines::run::color_anchor::Drift;
pub use pipelines::run::event::{Event, Progress, Stage, Step};
pub use pipelines::run::{budget::MemoryBudget, generation::Generation, latents::Latents, settings::DEFAULT_NEGATIVE_PROMPT, state::State};
pub use pipelines::tasks::animate::{AnimatePipeline, AnimateRequest, Animation, DEFAULT_PROMPT};
pub use pipelines::tasks::animate2::{ANIMATE_2_FPS, Animate2Pipeline, Animate2Request, Animation2};
pub use pipelines::tasks::shared::Shared;
pub use pipelines::tasks::video::{Video, VideoPipeline, VideoRequest};
pub use schedulers::{Sampler, Scheduler, Spacing};
pub use weights::{Lora, Storage};

pub use image;
pub use wgpu;
