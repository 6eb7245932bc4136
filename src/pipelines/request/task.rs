//! What tells kinds of videos apart before they are made.

use crate::error::Result;
use crate::pipelines::request::pipeline::Pipeline;
use crate::pipelines::run::arrangement::Arrangement;
use crate::pipelines::run::canvas::Canvas;
use crate::pipelines::run::job::Job;
use crate::pipelines::run::segments::Segments;
use crate::pipelines::run::settings::Settings;

/// What a request makes of what.
pub trait Task: Clone {
    #[doc(hidden)]
    type Pipeline: Pipeline;

    /// The pipeline that makes it.
    #[doc(hidden)]
    fn pipeline(&self) -> &Self::Pipeline;

    /// The same on another pipeline.
    #[doc(hidden)]
    fn on(self, pipeline: &Self::Pipeline) -> Self;

    /// Width and height in pixels where the request sets none.
    #[doc(hidden)]
    fn size(&self) -> Option<(u32, u32)>;

    /// Steps where neither the request nor the checkpoint says.
    #[doc(hidden)]
    fn steps(&self) -> usize;

    /// The shift at a size of so many pixels, where it is another than the checkpoint's.
    #[doc(hidden)]
    fn shift(&self, _pixels: usize) -> Option<f64> {
        None
    }

    /// Latent frames before those of the video.
    #[doc(hidden)]
    fn reference_frames(&self) -> usize {
        0
    }

    /// How the video is cut into segments.
    #[doc(hidden)]
    fn segments(&self) -> Result<Segments>;

    /// About half the frames at once, in words; none where there are no fewer.
    #[doc(hidden)]
    fn halve_frames(&mut self) -> Option<String>;

    /// What is wrong with its own settings and inputs.
    #[doc(hidden)]
    fn check(&self, _segments: &Segments) -> Result<()> {
        Ok(())
    }

    /// The work, once all is checked.
    #[doc(hidden)]
    fn job(self, settings: &Settings, canvas: Canvas, arrangement: Arrangement) -> Box<dyn Job>;
}
