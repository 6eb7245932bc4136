//! Frames in and out, and what the models' inputs are made of.
//!
//! | to change | go to |
//! |---|---|
//! | which files are read | `kind` (what a file is), `open` (the choice), `still`, `animation`, `frame_dir`, `mp4`, `ffmpeg` |
//! | which files are written | `writer` (the choice), `options`, `output` (where to), `png_dir`, `frames_file`, `gif_writer`, `mp4`, `webm`, `matroska` |
//! | sound | `audio`, `mp4` |
//! | when frames are shown | `timing`, `fps` |
//! | what a generation is given | `source`, `motion`, `scene` |
//! | how pixels become the models' numbers | `preprocess`, `clip_image`, on `resize`; `official` |

mod animation;
mod audio;
pub(crate) mod clip_image;
#[cfg(feature = "mp4")]
mod colour;
mod ffmpeg;
pub(crate) mod fps;
mod frame;
mod frame_dir;
mod frames_file;
mod gif_writer;
mod kind;
pub(crate) mod lab;
#[cfg(feature = "webm")]
mod matroska;
mod motion;
#[cfg(feature = "mp4")]
mod mp4;
pub(crate) mod official;
mod open;
mod options;
mod output;
mod png_dir;
pub(crate) mod preprocess;
pub(crate) mod resize;
mod scene;
mod sequential;
mod sink;
mod source;
mod still;
mod timing;
#[cfg(feature = "webm")]
mod webm;
mod writer;

pub use audio::Audio;
pub use frame::Frame;
pub use motion::Motion;
pub use options::{Effort, VideoOptions};
pub use scene::Scene;
pub use source::{FrameSource, Frames};
pub use still::open_image;
pub use writer::{VideoFormat, VideoWriter};
