//! Frames in and out, and what the models' inputs are made of.
//!
//! | to change | go to |
//! |---|---|
//! | which files are read | `kind` (what a file is), `open` (the choice), `still`, `animation`, `frame_dir`, `mp4`, `ffmpeg` |
//! | which files are written | `writer` (the choice), `png_dir`, `frames_file`, `gif_writer`, `mp4` |
//! | when frames are shown | `timing`, `fps` |
//! | what a generation is given | `source`, `motion`, `scene` |
//! | how pixels become the models' numbers | [`preprocess`], [`clip_image`], on [`resize`]; [`official`] |

mod animation;
pub mod clip_image;
mod ffmpeg;
mod fps;
mod frame;
mod frame_dir;
mod frames_file;
mod gif_writer;
mod kind;
mod motion;
#[cfg(feature = "mp4")]
mod mp4;
pub mod official;
mod open;
mod png_dir;
pub mod preprocess;
pub mod resize;
mod scene;
mod sequential;
mod sink;
mod source;
mod still;
mod timing;
mod writer;

pub use frame::Frame;
pub use motion::Motion;
pub use scene::Scene;
pub use source::{FrameSource, Frames};
pub use still::open_image;
pub use writer::VideoWriter;
