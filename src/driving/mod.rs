//! From a video as it was filmed to what a generation is given, in one go: networks find the person, or key points are given, and poses and
//! faces, or to replace the person background and mask too, are made of that.
//!
//! [`AnimatePipeline::animate_video`](crate::AnimatePipeline::animate_video) and
//! [`replace_video`](crate::AnimatePipeline::replace_video) take a [`DrivingVideo`] and prepare it before they generate. To look at what is made
//! of it, to write it to files, or to prepare it on another device:
//!
//! ```no_run
//! use wan_animate::driving::DrivingVideo;
//! use wan_animate::networks::NetworkFiles;
//! use wan_animate::video::{Frames, open_image};
//! use wan_animate::{Cancel, Device};
//!
//! # fn main() -> wan_animate::Result<()> {
//! let driving = DrivingVideo::new(Frames::open("dance.mp4")?)
//!     .networks(NetworkFiles::new().folder("Wan2.2-Animate-14B/process_checkpoint"))
//!     .cache("dance.cache");
//! let preparation = driving.to_animate(open_image("character.png")?, &Device::builder().build()?)?;
//! let conditions = preparation.run(&Cancel::new(), &mut |done, all| eprintln!("{done} of {all}"))?;
//! for (flag, frames) in conditions.report().summary() {
//!     eprintln!("{}: {frames} frames", flag.name());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! | to change | go to |
//! |---|---|
//! | what can be set and given | `driving_video` |
//! | in which order it is prepared | `preparation` |
//! | what is kept of networks' work, and where | `cache`, `found_file` |

mod cache;
mod driving_video;
mod found_file;
mod preparation;

pub(crate) use driving_video::Purpose;
pub(crate) use found_file::Findings;
pub(crate) use preparation::Stride;

pub use driving_video::DrivingVideo;
pub use preparation::Preparation;
