//! From a video and where the person in it is to what a generation is given, as Wan2.2's own preprocessing does, on the CPU. Key points and
//! masks come from files or from the application; no network is needed here.
//!
//! ```no_run
//! use wan_animate::preprocess::{Keypoints, Preprocess, Retarget};
//! use wan_animate::video::{Frames, open_image};
//!
//! # fn main() -> wan_animate::Result<()> {
//! let character = open_image("character.png")?;
//! let (video, keypoints) = (Frames::open("video.mp4")?, Keypoints::open("keypoints.json")?);
//! let conditions = Preprocess::new()
//!     .area(832 * 480)
//!     .retarget(Retarget::new(Keypoints::open("character.keypoints.json")?))
//!     .smooth(true)
//!     .animate(&character, &video, &keypoints)?;
//! for (flag, frames) in conditions.report().summary() {
//!     eprintln!("{}: {frames} frames", flag.name());
//! }
//! let motion = conditions.motion()?; // for `AnimatePipeline::animate`
//! # Ok(())
//! # }
//! ```
//!
//! | to change | go to |
//! |---|---|
//! | which options there are, and their order | `prepare` |
//! | how key points are read and saved | `keypoints_file`, `openpose` |
//! | what a pose looks like | `skeleton`, `draw`, on `raster` |
//! | the proportions of poses | `retarget` |
//! | where a face is cut out | `face` |
//! | what becomes of a mask | `mask` |
//! | sizes and resampling | `canvas`, `area` |
//! | points over time | `cuts`, `smooth`, `one_euro` |
//! | what a user is shown | `report`, `overlay` |

mod area;
mod canvas;
mod conditions;
mod cuts;
mod draw;
mod face;
mod keypoints;
mod keypoints_file;
mod mask;
mod one_euro;
mod openpose;
mod overlay;
mod person_box;
mod prepare;
mod raster;
mod reference_fit;
mod report;
mod resolution;
mod retarget;
mod skeleton;
mod smooth;
mod sources;

pub(crate) use cuts::is_cut;
pub(crate) use person_box::SURE;
pub(crate) use prepare::Beside;

pub use canvas::{area_size, fit_canvas};
pub use conditions::Conditions;
pub use draw::draw_pose;
pub use face::{FACE_SIZE, FaceBox, FaceCrop, crop_face, official_face_box};
pub use keypoints::{Keypoint, Keypoints, NUM_KEYPOINTS, WholeBody};
pub use keypoints_file::KeypointsFormat;
pub use mask::{MaskGrowth, binary_mask, cut_out, dilate};
pub use person_box::PersonBox;
pub use prepare::{Aspect, Preprocess};
pub use reference_fit::ReferenceFit;
pub use report::{Flag, FrameReport, Report};
pub use resolution::Resolution;
pub use retarget::{Limb, Retarget, Retargeted};
pub use skeleton::{Skeleton, skeletons};
