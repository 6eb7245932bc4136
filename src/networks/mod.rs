//! Finding the person in a raw video with networks that users have: a detector and a network of 133 key points from ONNX files, and one of masks
//! from another or from a checkpoint of SAM 2.
//!
//! ```no_run
//! use wan_animate::networks::{Networks, Search};
//! use wan_animate::preprocess::Preprocess;
//! use wan_animate::video::{Frames, open_image};
//! use wan_animate::{Cancel, Device};
//!
//! # fn main() -> wan_animate::Result<()> {
//! let device = Device::builder().build()?;
//! let mut networks = Networks::open("Wan2.2-Animate-14B/process_checkpoint", &device)?;
//! let video = Frames::open("video.mp4")?;
//! let found = networks.find(&video, &Search::new(), &Cancel::new(), &mut |done, all| eprintln!("{done} of {all}"))?;
//! drop(networks); // before the transformer needs the memory
//! let conditions = Preprocess::new().animate(&open_image("character.png")?, &video, &found.keypoints)?;
//! # Ok(())
//! # }
//! ```
//!
//! ONNX files are computed on the GPU, and with software drivers on the host: see
//! [`DeviceBuilder::host_networks`](crate::DeviceBuilder::host_networks).
//!
//! | to change | go to |
//! |---|---|
//! | what a network is told by | `kind` |
//! | what it is shown | `patch`, and its own file: `detector`, `pose`, `mediapipe`, `segmenter` |
//! | how its answer is read | `boxes`, `heatmap`, `pose`, `mediapipe`, `segmenter` |
//! | which files of a folder are taken | `folder` |
//! | how masks are followed through a video | `sam2`; what it is told: `mask_prompts`, `guide` |
//! | who is followed | `find` |
//! | how a classifier of what is not safe for work is shown pictures | `classifier` |

mod boxes;
mod classifier;
mod detector;
mod find;
mod folder;
mod guide;
mod heatmap;
mod kind;
mod mask_prompts;
mod masks;
mod mediapipe;
mod net;
mod patch;
mod pose;
mod sam2;
mod segmenter;
mod video_segmenter;

pub(crate) use masks::PackedMasks;

pub use boxes::Person;
pub use classifier::{Classifier, ClassifierRecipe, OnnxClassifier};
pub use detector::{OnnxDetector, PersonDetector};
pub(crate) use find::Walk;
pub use find::{Found, Search, Subject};
pub use folder::{NetworkFiles, Networks};
pub use mask_prompts::{MaskGuide, MaskPrompt, MaskPrompts};
pub use mediapipe::MediaPipe;
pub use pose::{ChannelOrder, OnnxPose, Pose, PoseEstimator};
pub use sam2::Sam2Masks;
pub use segmenter::{OnnxMask, Segmenter};
pub use video_segmenter::VideoSegmenter;
