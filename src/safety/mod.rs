//! Looking at inputs and results for what is not safe for work, with a classifier that users have as an ONNX file.
//!
//! Nothing is looked at unless an application asks for it, and nothing is changed unless it asks for that: what comes of it are scores and a flag.
//!
//! ```no_run
//! use wan_animate::networks::OnnxClassifier;
//! use wan_animate::safety::{Safety, SafetyCheck, Watch};
//! use wan_animate::video::{Frames, open_image};
//! use wan_animate::{AnimatePipeline, Cancel, Device, Event, driving::DrivingVideo};
//!
//! # fn main() -> wan_animate::Result<()> {
//! let device = Device::builder().build()?;
//! let mut safety = Safety::new(OnnxClassifier::open("open-nsfw.onnx", &device)?).check(SafetyCheck::Fast);
//! let (character, video) = (open_image("character.png")?, Frames::open("dance.mp4")?);
//! if safety.image(&character)?.is_flagged() || safety.video(&video, &Cancel::new())?.is_flagged() {
//!     return Ok(()); // or tell the user
//! }
//! let pipeline = AnimatePipeline::builder(&device).checkpoint("Wan2.2-Animate-14B").build()?;
//! let generation = pipeline.animate_video(character, &DrivingVideo::new(video))?.start()?;
//! let mut watch = Watch::new(&mut safety, generation.num_frames());
//! for event in generation {
//!     if let Event::Frame(frame) = event? {
//!         let frame = watch.look(frame)?; // as it was, unless black is asked for
//! #       drop(frame);
//!     }
//! }
//! println!("flagged: {}", watch.report().is_flagged());
//! # Ok(())
//! # }
//! ```
//!
//! The classifier is on the device as long as the [`Safety`] lives: 24 MB for open_nsfw, 343 MB for a ViT-B, beside what a
//! [plan](crate::Request::plan) counts.

mod check;
mod report;
mod watch;

pub use check::{Safety, SafetyCheck};
pub use report::{SafetyReport, SafetyScore};
pub use watch::Watch;
