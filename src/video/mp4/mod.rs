//! MP4 and MOV with H.264, in and out.
//!
//! Reading follows what decord, OpenCV and ffmpeg make of a file: frames in order of presentation, cropped, turned upright by
//! the track's rotation, chroma not interpolated, BT.601 where the stream does not say. Edit lists are not followed: every
//! frame in the track counts. Decoding is exact, so frames differ from ffmpeg's by a rounding of the colour conversion.
//!
//! OpenH264 is built from source; Cisco's payment of the H.264 patent licence covers Cisco's own binaries only.

mod colour;
mod container;
mod reader;
mod sps;
mod writer;

pub(super) use reader::open_mp4;
pub(super) use writer::Mp4Writer;
