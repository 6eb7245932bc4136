//! MP4 and MOV with H.264, in and out.
//!
//! Reading follows what decord, OpenCV and ffmpeg make of a file: the frames that its edit list presents, in that order, cropped, laid
//! upright by the track's matrix, chroma not interpolated, BT.601 where the stream does not say.
//!
//! Decoding is exact where pictures are predicted from earlier ones alone, and with B-frames that have no direct prediction in parts of
//! blocks. Elsewhere OpenH264 smooths the edges of some blocks of B-frames more or less than it should: some dozens of samples a frame, up to 7
//! levels of luma, 9 of colour. What it decodes to other pictures altogether (temporal direct prediction under CAVLC) is refused when the file is opened.
//!
//! OpenH264 is built from source; Cisco's payment of the H.264 patent licence covers Cisco's own binaries only.

mod bits;
mod boxes;
mod edits;
mod format;
mod movie;
mod muxing;
mod orientation;
mod reader;
mod refusal;
mod samples;
mod slice;
mod sound;
mod sps;
mod track;
mod writer;

pub(super) use reader::{Opened, open_mp4};
pub(super) use sound::read_audio;
pub(super) use writer::Mp4Writer;
