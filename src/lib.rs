//! Wan2.2 video generation, above all Wan2.2-Animate-14B, on any Vulkan, Metal or DX12 GPU: no CUDA, no Python, no framework.
//!
//! A character image plus a driving video gives either that character performing the motion
//! ([`animate`](AnimatePipeline::animate)) or that character in place of the person in the video
//! ([`replace`](AnimatePipeline::replace)). [`VideoPipeline`] makes videos from text, from a first image, or from a first and a
//! last one. The results are those of the reference implementation, diffusers' `WanAnimatePipeline`, `WanPipeline` and
//! `WanImageToVideoPipeline`, which the tests compare every part with; for checkpoints in the layout of the official release
//! those of its own code, with whose frames the tests compare theirs.
//!
//! ```no_run
//! use wan_animate::video::{Frames, Motion, VideoWriter, open_image};
//! use wan_animate::{AnimatePipeline, Cancel, Device, Event};
//!
//! # fn main() -> wan_animate::Result<()> {
//! let device = Device::builder().build()?; // or `Device::from_wgpu` with the device that your application owns
//! let pipeline = AnimatePipeline::builder(&device).checkpoint("examples/demo/model").build()?; // the small one of the repository
//! let character = open_image("examples/demo/reference.png")?;
//! let motion = Motion::new(Frames::open("examples/demo/pose")?, Frames::open("examples/demo/face")?)?; // or MP4 files
//! let cancel = Cancel::new(); // Clone + Send: for a button in another thread
//! let generation = pipeline
//!     .animate(&character, &motion)
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
//! It does not find poses, faces or masks in a video: those come from Wan2.2's own preprocessing, or any tool that draws
//! skeletons as it does. It reads checkpoints in the layout of diffusers and of the official releases, and single files, and saves any of
//! them in the layout of diffusers ([`Conversion`]).
//!
//! # Floors
//! A module uses only what stands below it.
//! ```text
//! pipelines              a request becomes frames
//! models                 dit (with animate's parts) · vae · umt5 · clip
//! layers                 linear, norms, convolutions; weights on their way to the GPU
//! ops                    one tensor operation a file, beside its kernel in wgsl/
//! tensor
//! gpu · weights · tokenizer · schedulers · video        islands; only gpu, and what stands on it, needs a GPU
//! error · dtype · shape · rng · cancel · digest · partial_file · partial_folder
//! ```
//!
//! | I want to change | go to |
//! |---|---|
//! | a kernel | `wgsl/NAME.wgsl`, `src/ops/NAME.rs`, its oracle in `tests/ops/oracle/NAME.rs` |
//! | how a checkpoint is read | `src/weights`, `src/layers/loader.rs` |
//! | what checkpoints can be saved as | `src/weights/storage.rs`, `src/weights/convert.rs` |
//! | what LoRA files may look like | `src/weights/lora` |
//! | a scheduler | one file in `src/schedulers` |
//! | what the model is conditioned on | `src/pipelines/animate/job.rs`, `src/pipelines/video/job.rs` |
//! | the loop that all pipelines share | `src/pipelines/generation.rs` |
//! | what is kept of a run to go on with | `src/pipelines/state.rs` |
//! | images, videos, files | `src/video` |
//!
//! # Features
//! - `mp4` (default): reads and writes MP4 and MOV with H.264. Compiles OpenH264, for which a C++ compiler is needed. Cisco's
//!   patent licence covers the binaries that Cisco distributes, not builds from source.
//!
//! # Precision and repeatability
//! [`Precision::F16`] halves the memory of operands; [`Precision::F32`] agrees with the reference in f32. All sums are f32 in
//! both. The same request gives the same bits on the same adapter and driver. Vulkan is tested on software drivers; the shaders
//! are translated for Metal and DX12 and validated, but have not been run there.
//!
//! The minimum supported Rust version is that of `Cargo.toml`.

mod cancel;
mod digest;
mod dtype;
mod error;
mod gpu;
mod layers;
mod linalg;
mod models;
mod onnx;
mod ops;
mod partial_file;
mod partial_folder;
mod pipelines;
mod residency;
mod rng;
mod schedulers;
mod shape;
mod tensor;
mod tokenizer;
pub mod unversioned;
pub mod video;
mod weights;

pub use cancel::Cancel;
pub use dtype::DType;
pub use error::{Error, Result};
pub use gpu::{AdapterSummary, Device, DeviceBuilder, Family, MemoryUse, Profile, Tune};
pub use layers::Precision;
pub use models::vae::tiling::VaeTiling;
pub use pipelines::animate::{Animation, DEFAULT_PROMPT};
pub use pipelines::builder::Pipeline;
pub use pipelines::request::DEFAULT_NEGATIVE_PROMPT;
pub use pipelines::video::Video;
pub use pipelines::{
    AnimatePipeline, AnimateRequest, Builder, Conversion, Event, Expert, Generation, Latents, MemoryBudget, Plan, Preset, Request, Stage,
    StagePlan, State, Step, VideoPipeline, VideoRequest,
};
pub use schedulers::{Sampler, Scheduler, Spacing};
pub use weights::{Lora, Storage, WeightsReport, inspect_weights};

pub use image;
pub use wgpu;
