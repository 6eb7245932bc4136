//! What tells kinds of generations apart.

use crate::driving::{Findings, Stride};
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::models::dit::{cache::work::Work, prediction::Prediction};
use crate::pipelines::checkpoint::expert::Expert;
use crate::pipelines::run::description::Description;

/// What is particular to a kind of generation: everything around the model. The loop is that of a
/// [`Generation`](crate::Generation).
pub trait Job: wgpu::WasmNotSend {
    /// Adds what frames depend on beside the checkpoint and the settings that all have.
    fn describe(&self, description: &mut Description) -> Result<()>;

    /// Whether a video as it was filmed is to be prepared before all else.
    fn has_raw_video(&self) -> bool {
        false
    }

    /// Prepares it, a piece of work at a time.
    fn preprocess(&mut self) -> Result<Stride> {
        Ok(Stride::Over(None))
    }

    /// What networks found in it so far.
    fn findings(&self) -> Findings {
        Findings::default()
    }

    /// Computes what all segments of all videos share, a piece at a time from 0 on. Gives the number of pieces.
    fn encode(&mut self, rec: &mut Recorder, piece: usize) -> Result<usize>;

    /// Computes what the steps of segment `k` look at, a piece at a time from 0 on. Gives the number of pieces. `carried` [F, H, W, 3] in
    /// [-1, 1] are the last frames of the segment before.
    fn condition(&mut self, rec: &mut Recorder, k: usize, carried: Option<&[f32]>, piece: usize) -> Result<usize>;

    /// Which of two experts makes the step at a timestep; none where there is one transformer.
    fn expert(&self, _timestep: f64) -> Option<Expert> {
        None
    }

    /// Makes an expert ready for the steps that follow.
    fn switch(&mut self, _rec: &mut Recorder, _expert: Expert) -> Result<()> {
        Ok(())
    }

    /// Predictions that a step takes: with the prompt, and where there is guidance without it.
    fn branches(&self) -> usize;

    /// The model's prediction for latents [C, T, H, W] by a branch.
    fn predict(&mut self, rec: &mut Recorder, branch: usize, latents: &Tensor, timestep: f64, work: Work) -> Result<Prediction>;

    /// How far the prediction is led away from the one without the prompt, in the step that is under way.
    fn guidance_scale(&self) -> f64;

    /// Before frames are decoded: what decoding has no room for leaves the GPU.
    fn decode(&mut self) {}

    /// What of the latent frames is the video's, once the steps are done.
    fn finished(&self, frames: Vec<Tensor>) -> Vec<Tensor>;
}

/// Cannot happen: [`Job::encode`] and [`Job::condition`] come before the steps.
pub(crate) fn unprepared() -> Error {
    Error::Unsupported("a generation that was not prepared".into())
}
