//! What tells kinds of videos apart before they are made.

use std::sync::Arc;

use crate::cache::tables::Kin;
use crate::error::Result;
use crate::models::dit::beside::DrivingCache;
use crate::pipelines::checkpoint::expert::Expert;
use crate::pipelines::request::pipeline::{Pipeline, sealed::Sealed};
use crate::pipelines::run::{
    arrangement::Arrangement, canvas::Canvas, crop::Crop, job::Job, segments::Segments, settings::Settings, windows::Windows,
};

/// What a request makes of what.
#[doc(hidden)]
pub trait Task: Clone + Sealed {
    type Pipeline: Pipeline;

    /// The pipeline that makes it.
    fn pipeline(&self) -> &Self::Pipeline;

    /// The same on another pipeline.
    fn on(self, pipeline: &Self::Pipeline) -> Self;

    /// Width and height in pixels where the request sets none.
    fn size(&self) -> Option<(u32, u32)>;

    /// Width and height of the canvas for those that were asked for.
    fn canvas(&self, asked: Option<(u32, u32)>) -> Option<(u32, u32)> {
        asked.or(self.size())
    }

    /// What of the canvas the result shows.
    fn crop(&self, canvas: (usize, usize)) -> Crop {
        Crop::whole(canvas)
    }

    /// Steps where neither the request nor the checkpoint says.
    fn steps(&self) -> usize;

    /// The shift at a size of so many pixels, where it is another than the checkpoint's.
    fn shift(&self, _pixels: usize) -> Option<f64> {
        None
    }

    /// How a driving video is kept where there is memory for it; none where the model looks at none.
    fn driving_cache(&self) -> Option<DrivingCache> {
        None
    }

    /// Latent frames before those of the video.
    fn reference_frames(&self) -> usize {
        0
    }

    /// Frames [F, H, W, 3] in [-1, 1] that the video begins with and that were made before.
    fn given(&self, _size: (usize, usize)) -> Result<Option<Arc<Vec<f32>>>> {
        Ok(None)
    }

    /// How the video is cut into segments.
    fn segments(&self) -> Result<Segments>;

    /// What the model looks at at a time, where that is not a whole segment.
    fn windows(&self) -> Option<Windows> {
        None
    }

    /// About half the frames at once, in words; none where there are no fewer.
    fn halve_frames(&mut self) -> Option<String>;

    /// Whose like one of its transformers is, for videos of so many pixels a frame.
    fn kin(&self, pixels: usize, expert: Expert) -> Kin;

    /// What is wrong with its own settings and inputs.
    fn check(&self, _segments: &Segments) -> Result<()> {
        Ok(())
    }

    /// The work, once all is checked.
    fn job(self, settings: &Settings, canvas: Canvas, arrangement: Arrangement) -> Box<dyn Job>;
}
