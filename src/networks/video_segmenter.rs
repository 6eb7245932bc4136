//! Finding masks in a whole video.

use image::GrayImage;

use crate::error::Result;
use crate::networks::mask_prompts::MaskPrompts;
use crate::preprocess::WholeBody;
use crate::video::Frames;

/// Finds the mask of a person in every frame of a video, with a look at other frames. An application may bring its own.
pub trait VideoSegmenter: wgpu::WasmNotSend {
    /// A video whose masks are asked for from now on, where the person is in each of its frames, and what is said of it beside.
    ///
    /// # Errors
    /// Those of the segmenter.
    fn begin(&mut self, video: &Frames, persons: &[WholeBody], prompts: &MaskPrompts) -> Result<()>;

    /// White where the person is in the next frame.
    ///
    /// # Errors
    /// Those of the segmenter and of the video.
    fn next_mask(&mut self) -> Result<GrayImage>;
}
