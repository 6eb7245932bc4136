//! A character performs a motion, or takes somebody's place.

mod inputs;
mod job;

use std::sync::Arc;

use image::RgbImage;

use crate::cache::tables::Kin;
use crate::count::count;
use crate::driving::{DrivingVideo, Purpose};
use crate::error::{Error, Result};
use crate::gpu::{Device, Sink};
use crate::location::Location;
use crate::models::dit::{animate::Animate, config::Config, embed::time_embeddings};
use crate::networks::NetworkFiles;
use crate::pipelines::checkpoint::{
    expert::Expert, open::Checkpoint, open::Family, parts::Parts, recipe::Recipe, transformer::Transformer,
};
use crate::pipelines::plan::{refusal, report::Plan};
use crate::pipelines::request::{
    Request, builder::Builder, pipeline::DryPipeline, pipeline::Pipeline, pipeline::sealed::Sealed, task::Task,
};
use crate::pipelines::run::{
    arrangement::Arrangement, canvas::Canvas, decoding::signed, job::Job, segments::Segments, settings::Settings, windows::Windows,
};
use crate::pipelines::tasks::animate::{inputs::Inputs, inputs::RawVideo, inputs::Role, job::AnimateJob, job::SCALE};
use crate::pipelines::tasks::shared::Shared;
use crate::video::{Frame, Motion, Scene};

/// What the prompt is where none is given: "the person in the video is moving".
pub const DEFAULT_PROMPT: &str = "视频中的人在做动作";

const DEFAULT_STEPS: usize = 20;

/// A loaded Wan2.2-Animate. Dear to build; cheap to clone; shared and reused, by several generations at once too.
#[derive(Clone, Debug)]
pub struct AnimatePipeline {
    parts: Arc<Parts<Animate>>,
    dry_pipeline: DryPipeline<Self>,
    /// The folder of networks that the checkpoint comes with.
    networks: Option<Location>,
}

/// A generation of [`AnimatePipeline`] that is being described.
pub type AnimateRequest = Request<Animation>;

/// What Animate makes of what.
#[derive(Clone, Debug)]
pub struct Animation {
    pipeline: AnimatePipeline,
    inputs: Inputs,
    num_frames: Option<usize>,
    segment_frames: usize,
    overlap: usize,
    /// In place of segments.
    windows: Option<Windows>,
}

impl AnimatePipeline {
    /// Starts describing what to load.
    pub fn builder(device: &Device) -> Builder<'_, Self> {
        Builder::new(device)
    }

    /// The character of `reference` performs the motion. The reference may have any size; it is fitted into the result's on
    /// black, never cropped.
    pub fn animate(&self, reference: impl Into<Shared<RgbImage>>, motion: impl Into<Shared<Motion>>) -> AnimateRequest {
        self.request(reference.into(), Role::Animate(motion.into().0))
    }

    /// The character of `reference` takes the place of the person in the scene.
    pub fn replace(&self, reference: impl Into<Shared<RgbImage>>, scene: impl Into<Shared<Scene>>) -> AnimateRequest {
        self.request(reference.into(), Role::Replace(scene.into().0))
    }

    /// The character of `reference` performs the motion of the person in a video as it was filmed. Poses and faces are made of it when the
    /// generation begins; while networks look for the person, these are on the GPU beside what stays of the model.
    ///
    /// The size is what the video's [`Preprocess`](crate::preprocess::Preprocess) says of the reference, unless the [request](Request::size) does.
    ///
    /// ```no_run
    /// # fn main() -> wan_animate::Result<()> {
    /// use wan_animate::driving::DrivingVideo;
    /// use wan_animate::preprocess::{Preprocess, Resolution};
    /// use wan_animate::video::{Frames, open_image};
    /// use wan_animate::{AnimatePipeline, Device};
    ///
    /// let pipeline = AnimatePipeline::builder(&Device::builder().build()?).checkpoint("Wan2.2-Animate-14B").build()?;
    /// let dance = DrivingVideo::new(Frames::open("dance.mp4")?).preprocess(Preprocess::new().resolution(Resolution::P480));
    /// let generation = pipeline.animate_video(open_image("character.png")?, &dance)?.seed(7).start()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Input`] for settings out of range, and where nothing finds the person: neither networks nor key points are given, and the
    /// checkpoint's folder has no `process_checkpoint`.
    pub fn animate_video(&self, reference: impl Into<Shared<RgbImage>>, video: &DrivingVideo) -> Result<AnimateRequest> {
        let reference = reference.into();
        let purpose = Purpose::Animate(reference.0.clone());
        self.raw_request(reference, video, purpose)
    }

    /// The character of `reference` takes the place of the person in a video as it was filmed. See [`animate_video`](Self::animate_video).
    ///
    /// # Errors
    /// Those of [`animate_video`](Self::animate_video); with a video that is to be
    /// [retargeted](crate::preprocess::Preprocess::retarget), too.
    pub fn replace_video(&self, reference: impl Into<Shared<RgbImage>>, video: &DrivingVideo) -> Result<AnimateRequest> {
        self.raw_request(reference.into(), video, Purpose::Replace)
    }

    fn raw_request(&self, reference: Shared<RgbImage>, video: &DrivingVideo, purpose: Purpose) -> Result<AnimateRequest> {
        let networks = self.networks.as_ref().map(|folder| NetworkFiles::new().folder(folder));
        let raw = RawVideo::new(video.clone().or_networks(networks), purpose);
        let mut request = self.request(reference, raw.stand_in()?);
        request.task.inputs.raw = Some(raw);
        Ok(request)
    }

    fn request(&self, reference: Shared<RgbImage>, role: Role) -> AnimateRequest {
        let inputs = Inputs {
            reference: reference.0,
            role,
            raw: None,
            frame_offset: 0,
            given: Arc::default(),
            pose_strength: 1.0,
            face_strength: 1.0,
        };
        let animation = Animation { pipeline: self.clone(), inputs, num_frames: None, segment_frames: 77, overlap: 1, windows: None };
        Request::new(animation, DEFAULT_PROMPT)
    }

    /// What a request will take on this pipeline: see [`Request::plan`].
    ///
    /// # Errors
    /// Those of [`Request::start`].
    pub fn plan(&self, request: &AnimateRequest) -> Result<Plan> {
        request.plan_on(self)
    }

    /// The device that it was built on.
    pub fn device(&self) -> &Device {
        &self.parts.device
    }
}

impl Sealed for AnimatePipeline {}
impl Sealed for Animation {}

impl Pipeline for AnimatePipeline {
    type Transformer = Animate;

    fn load(device: &Device, recipe: &Recipe) -> Result<Self> {
        let checkpoint = Checkpoint::open(&recipe.source, Family::Animate)?;
        check_agreement(&checkpoint)?;
        let Checkpoint { transformer: (mut weights, config), files, .. } = checkpoint;
        recipe.loras.merge(&mut weights, None)?;
        let dry_pipeline = DryPipeline::new(device, recipe);
        if let Some(budget) = recipe.budget {
            dry_pipeline.with(|dry_pipeline: &Self| refusal::check(&dry_pipeline.parts, budget))?;
        }
        let parts = files.load(device, recipe, recipe.loras.digest(device, [&weights])?, || {
            let weights = Arc::new(weights);
            let sink = recipe.sink(device);
            let transformer = Animate::open(&sink, &weights, recipe.precision, &config)?;
            if recipe.budget.is_none() {
                transformer.fill(&sink, usize::MAX, true)?;
                weights.finish()?;
            }
            Ok(transformer)
        })?;
        let networks = recipe.source.folder().map(|folder| folder.join("process_checkpoint")).filter(Location::is_dir);
        Ok(Self { parts: Arc::new(parts), dry_pipeline, networks })
    }

    fn parts(&self) -> &Arc<Parts<Animate>> {
        &self.parts
    }

    fn dry_pipeline(&self) -> &DryPipeline<Self> {
        &self.dry_pipeline
    }
}

impl Transformer for Animate {
    fn config(&self) -> &Config {
        self.dit().config()
    }

    fn layers(&self, dry: &Device) -> Result<Vec<u64>> {
        self.dit().blocks().sizes(dry)
    }

    fn time_embeddings(&self, _expert: Expert, timesteps: &[f64]) -> Result<Vec<Vec<f32>>> {
        let weights = self.dit().blocks().weights();
        weights.map_or_else(|| Ok(Vec::new()), |weights| time_embeddings(weights, self.config(), timesteps))
    }

    fn fill(&self, sink: &dyn Sink, count: usize, _both: bool) -> Result<()> {
        self.dit().blocks().fill(sink, count)
    }
}

/// The VAE's latents must be the transformer's.
fn check_agreement(checkpoint: &Checkpoint) -> Result<()> {
    let (dit, vae) = (&checkpoint.transformer.1, &checkpoint.files.vae.1);
    let (channels, inputs, outputs) = (dit.latent_channels()?, dit.in_channels()?, dit.out_channels()?);
    if vae.z_dim != channels || outputs != channels || inputs != channels.saturating_mul(2).saturating_add(4) {
        return Err(checkpoint.error(format!(
            "the VAE has {} latent channels, the transformer takes {inputs} and gives {outputs}; expected z, 2 z + 4 and z",
            vae.z_dim,
        )));
    }
    let (frames, pixels) = (vae.frames_per_latent(), vae.pixels_per_latent());
    if frames != 4 || pixels != SCALE || dit.patch_size != [1, 2, 2] {
        return Err(Error::Unsupported(format!(
            "a VAE of {frames}x{pixels}x{pixels} with patches of {:?}; Animate needs 4x8x8 and [1, 2, 2]",
            dit.patch_size
        )));
    }
    Ok(())
}

impl Animation {
    /// Those of the given frames that the first segment begins with.
    fn given_frames(&self) -> &[Frame] {
        let given = &self.inputs.given;
        &given[given.len().saturating_sub(self.overlap)..]
    }
}

impl AnimateRequest {
    /// Frames made at once, 4n + 1. Default: 77, which Animate was trained with.
    pub fn segment_frames(mut self, frames: usize) -> Self {
        self.task.segment_frames = frames;
        self
    }

    /// Frames of a segment that the next one begins with, 1 to 5. Default: 1; the official release uses 1 or 5.
    pub fn overlap(mut self, frames: usize) -> Self {
        self.task.overlap = frames;
        self
    }

    /// Denoises the whole video as one, by a model that looks at windows of so many frames, 4n + 1, that overlap by so many, 4n: in place of
    /// [segments](Self::segment_frames). In each step the model looks at all windows, and where two overlap, what it says of one fades into what it
    /// says of the other. So there are no joins where frames are encoded again and colours drift; motion may be soft where windows meet. A step
    /// takes as many passes as there are windows, and memory for latents and conditioning grows with the video. 81 and 16 are usual.
    ///
    /// `start` fails with [`Error::Input`] with frames to [continue from](Self::continue_from), with [calibration](Request::calibrate), and with a
    /// [cache](Request::cache) other than [`Easy`](crate::CacheMethod::Easy). Default: segments.
    pub fn windows(mut self, frames: usize, overlap: usize) -> Self {
        self.task.windows = Some(Windows { frames, overlap });
        self
    }

    /// How far the colours of a [segment](Self::segment_frames) are held to those of the one before, 0 to 1: by what tells the frames that both have
    /// apart in Lab, a gain and an offset of each channel, which fade over the segment. [`Event::Drift`](crate::Event::Drift) tells how far they
    /// were. For frames on the host. Default: 0, which leaves them as they are.
    pub fn color_anchor(mut self, strength: f64) -> Self {
        self.settings.color_anchor = strength;
        self
    }

    /// How strongly the pose is followed, 0 to 2: the pose's latents are multiplied by it. At 0 it is an absent pose. Default: 1.
    pub fn pose_strength(mut self, strength: f64) -> Self {
        self.task.inputs.pose_strength = strength;
        self
    }

    /// How strongly the face is followed, 0 to 2: its motion vectors go so far from those of an empty face. At 0 it is an absent face.
    /// Default: 1.
    pub fn face_strength(mut self, strength: f64) -> Self {
        self.task.inputs.face_strength = strength;
        self
    }

    /// Frames to leave out at the start of all input videos. Default: 0.
    pub fn frame_offset(mut self, frames: usize) -> Self {
        self.task.inputs.frame_offset = frames;
        self
    }

    /// How many frames to make at most, 1 or more. Default: as many as the inputs have from the offset on.
    pub fn num_frames(mut self, frames: usize) -> Self {
        self.task.num_frames = Some(frames);
        self
    }

    /// Goes on from the last frames of a video that was made before, as a segment goes on from the one before: from at most its last
    /// [`overlap`](Self::overlap) frames, which must have the result's size. What is made are the frames that follow them, and
    /// the [`frame_offset`](Self::frame_offset) is where in the inputs these begin. Default: a new video.
    ///
    /// A video can so be made in pieces, while its inputs are still arriving or by several requests. The pieces are those of one
    /// request, to the bit, where they are cut where [segments](Self::segment_frames) meet, a segment makes no fewer frames than it takes over, and
    /// the noise [goes on](Request::noise_from) as well.
    ///
    /// ```no_run
    /// # use wan_animate::{AnimatePipeline, Event, Result, video::{Frame, Motion, VideoWriter}};
    /// # fn run(pipeline: &AnimatePipeline, character: &image::RgbImage, motion: &Motion, writer: &mut VideoWriter) -> Result<()> {
    /// let (mut last, mut state, mut offset) = (Vec::<Frame>::new(), None, 0);
    /// while offset < motion.num_frames() {
    ///     // 77 frames, then 76 at a time: a segment takes over one.
    ///     let mut request = pipeline.animate(character, motion).frame_offset(offset).num_frames(77 - last.len());
    ///     if let Some(state) = &state {
    ///         request = request.continue_from(last.drain(..)).noise_from(state);
    ///     }
    ///     let mut generation = request.start()?;
    ///     offset = generation.next_frame_offset();
    ///     for event in &mut generation {
    ///         if let Event::Frame(frame) = event? {
    ///             writer.write(&frame)?;
    ///             last = vec![frame];
    ///         }
    ///     }
    ///     state = Some(generation.state());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn continue_from(mut self, frames: impl IntoIterator<Item = Frame>) -> Self {
        self.task.inputs.given = frames.into_iter().collect();
        self
    }
}

impl Task for Animation {
    type Pipeline = AnimatePipeline;

    fn pipeline(&self) -> &AnimatePipeline {
        &self.pipeline
    }

    fn on(self, pipeline: &AnimatePipeline) -> Self {
        Self { pipeline: pipeline.clone(), ..self }
    }

    fn size(&self) -> Option<(u32, u32)> {
        self.inputs.size()
    }

    fn steps(&self) -> usize {
        DEFAULT_STEPS
    }

    fn reference_frames(&self) -> usize {
        1
    }

    /// Of the input frames that are left after the offset.
    fn segments(&self) -> Result<Segments> {
        let (frames, offset) = (self.inputs.motion().num_frames(), self.inputs.frame_offset);
        if offset >= frames {
            return Err(Error::Input(format!("a frame offset of {offset} in inputs of {}", count(frames, "frame"))));
        }
        let made = self.num_frames.unwrap_or(usize::MAX).min(frames - offset);
        let segments = match self.windows {
            Some(_) if !self.inputs.given.is_empty() => {
                return Err(Error::Input(
                    "windows with frames to continue from: a video in windows is made as one; leave one of them out".into(),
                ));
            }
            Some(_) => Segments::whole(made)?.within(frames, offset),
            None => Segments::new(made, self.segment_frames, self.overlap)?.within(frames, offset),
        };
        match self.given_frames() {
            [] => Ok(segments),
            given => segments.continued(given.len()),
        }
    }

    fn given(&self, (width, height): (usize, usize)) -> Result<Option<Arc<Vec<f32>>>> {
        let given = self.given_frames();
        for frame in given {
            if (frame.width() as usize, frame.height() as usize) != (width, height) {
                let found = format!("{}x{}", frame.width(), frame.height());
                return Err(Error::Input(format!("frames of {found} pixels to continue from: the result has {width}x{height}")));
            }
            if frame.samples().iter().any(|sample| !sample.is_finite()) {
                return Err(Error::Input("frames to continue from have samples that are not finite".into()));
            }
        }
        let samples = || Arc::new(given.iter().flat_map(|frame| frame.samples().iter().map(signed)).collect());
        Ok((!given.is_empty()).then(samples))
    }

    fn windows(&self) -> Option<Windows> {
        self.windows
    }

    fn halve_frames(&mut self) -> Option<String> {
        if let Some(Windows { frames, overlap }) = &mut self.windows {
            *frames = Some(*frames / 8 * 4 + 1).filter(|half| half > overlap)?;
            return Some(format!("windows of {frames} frames"));
        }
        let frames = Some(self.segment_frames / 8 * 4 + 1).filter(|&frames| frames >= 5 && frames > self.overlap)?;
        self.segment_frames = frames;
        Some(format!("segments of {frames} frames"))
    }

    fn kin(&self, pixels: usize, _expert: Expert) -> Kin {
        Kin::i2v(pixels)
    }

    fn check(&self, _segments: &Segments) -> Result<()> {
        self.inputs.check()
    }

    fn job(self, settings: &Settings, canvas: Canvas, arrangement: Arrangement) -> Box<dyn Job> {
        Box::new(AnimateJob::new(self.pipeline.parts, self.inputs, settings, canvas, arrangement))
    }
}
