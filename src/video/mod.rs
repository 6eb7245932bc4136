//! Frames in and out, and what the models' inputs are made of.
//!
//! | to change | go to |
//! |---|---|
//! | which files are read | `source` (the choice), `still`, `frame_dir`, `gif`, `mp4` |
//! | which files are written | `writer` (the choice), `png_dir`, `frames_file`, `gif`, `mp4` |
//! | what a generation is given | `motion`, `scene`, `fps` |
//! | how pixels become the models' numbers | [`preprocess`], [`clip_image`], on [`resize`]; [`official`] |

pub mod clip_image;
pub(crate) mod fps;
mod frame;
mod frame_dir;
mod frames_file;
mod gif;
mod motion;
#[cfg(feature = "mp4")]
mod mp4;
pub mod official;
mod png_dir;
pub mod preprocess;
pub mod resize;
mod scene;
#[cfg(feature = "mp4")]
mod sequential;
mod source;
mod still;
mod writer;

pub use frame::Frame;
pub use motion::Motion;
pub use scene::Scene;
pub use source::{FrameSource, Frames};
pub use still::open_image;
pub use writer::VideoWriter;
