//! What a generation tells while it runs.

use std::fmt;
use std::time::Duration;

use crate::cache::curve::CacheCurve;
use crate::gpu::GpuFrame;
use crate::pipelines::checkpoint::expert::Expert;
use crate::pipelines::run::color_anchor::Drift;
use crate::pipelines::run::latents::Latents;
use crate::preprocess::Conditions;
use crate::video::Frame;

/// One thing that happened, in order. More kinds may come: match with a `_` arm.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The next of several videos begins; not sent when only one was asked for. Frames that follow are its frames.
    Video {
        /// From 0.
        index: usize,
        /// The seed of its noise.
        seed: u64,
    },
    /// A setting may do harm, and why. Also logged.
    Warning(String),
    /// A stage begins.
    Stage(Stage),
    /// Preprocessing, encoding, conditioning or decoding has come further.
    Progress(Progress),
    /// A denoising step is done.
    Step(Step),
    /// What [`Request::calibrate`](crate::Request::calibrate) measured, after the last step of all.
    Calibrated(CacheCurve),
    /// A raw video is prepared: what is generated follows these poses, faces, background and masks, and here is the report about them. Only with
    /// [`animate_video`](crate::AnimatePipeline::animate_video) and [`replace_video`](crate::AnimatePipeline::replace_video).
    Prepared(Box<Conditions>),
    /// The estimate of the finished latents [C, T, H, W] after a step, without Animate's reference frame; on request only.
    Preview(Latents),
    /// How far the colours of a segment are from those of the segment before, once the frames that both have are decoded; not where frames stay
    /// on the GPU.
    Drift(Drift),
    /// A frame is finished. Frames come in order.
    Frame(Frame),
    /// A frame is finished and stays on the GPU; on [request](crate::Request::textures) only, in place of [`Frame`](Self::Frame).
    Texture(GpuFrame),
}

/// What the GPU is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Networks find the person in a raw video, and inputs are made of that, once. Where there is no raw video, this is not sent.
    Preprocessing,
    /// Text and images go through their encoders, once.
    Encoding,
    /// The inputs of a segment are read and encoded.
    Conditioning {
        /// From 0.
        segment: usize,
    },
    /// Noise becomes latents.
    Denoising {
        /// From 0.
        segment: usize,
    },
    /// An expert takes over: where both do not fit on the GPU, the other one leaves and this one is loaded. Where there is one
    /// transformer, this is not sent.
    Switching {
        /// Which it is.
        expert: Expert,
    },
    /// Latents become frames.
    Decoding {
        /// From 0.
        segment: usize,
    },
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Preprocessing => write!(f, "preparing the driving video"),
            Self::Encoding => write!(f, "encoding text and images"),
            Self::Conditioning { segment } => write!(f, "conditioning segment {}", segment + 1),
            Self::Denoising { segment } => write!(f, "denoising segment {}", segment + 1),
            Self::Switching { expert } => write!(f, "switching to the {expert}"),
            Self::Decoding { segment } => write!(f, "decoding segment {}", segment + 1),
        }
    }
}

/// A step that is done, and how much is left.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Step {
    /// From 0.
    pub segment: usize,
    /// How many segments there are.
    pub segments: usize,
    /// From 0.
    pub step: usize,
    /// How many steps a segment has.
    pub steps: usize,
    /// The noise level that the step began at, in [0, 1].
    pub sigma: f64,
    /// Which of two transformers made the step; none where there is one.
    pub expert: Option<Expert>,
    /// Whether the model's layers were computed, or what they did before was reused: see [`Request::cache`](crate::Request::cache).
    pub computed: bool,
    /// How long it took, up to when the GPU is done with it, which may be a moment after this is told: up to two submissions, that is less than
    /// half a second.
    pub elapsed: Duration,
    /// How long everything that is left would take at the speed so far: steps, and conditioning and decoding, of which the first segment only
    /// guesses from the number of operations.
    pub remaining: Duration,
}

/// How far a stage other than denoising has come, as far as it was given to the GPU.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// Which.
    pub stage: Stage,
    /// Pieces of work that are done, from 1: frames of a raw video, prompts, images, latent frames or batches of faces.
    pub done: usize,
    /// Pieces that the stage has.
    pub total: usize,
    /// How long everything that is left would take, as in [`Step::remaining`]; none before the first step.
    pub remaining: Option<Duration>,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}, {}/{}", self.stage, self.done, self.total)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { segment, segments, step, steps, sigma, expert, computed, elapsed, .. } = self;
        write!(f, "segment {}/{segments}, step {}/{steps}, ", segment + 1, step + 1)?;
        if let Some(expert) = expert {
            write!(f, "{expert}, ")?;
        }
        let reused = if *computed { "" } else { "reused, " };
        write!(f, "{reused}sigma {sigma:.3}, {:.1} s", elapsed.as_secs_f64())
    }
}
