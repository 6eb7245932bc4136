//! The options of `animate` and `replace`.

use std::path::{Path, PathBuf};

use clap::Args;
use image::RgbImage;
use wan_animate::preprocess::Conditions;
use wan_animate::video::{Audio, Frame, Frames, Motion, open_image};
use wan_animate::{AnimatePipeline, AnimateRequest, Error, Result};

use super::raw::{Job, RawVideo};
use super::sound::{self, Sound};
use super::{Destination, Engine, MaskGrowth, Output, Settings, demo};

/// Frames a second of images, which do not say their own.
const DEFAULT_FPS: f64 = 30.0;
/// Frames at once that Wan2.2-Animate was trained with.
const SEGMENT_FRAMES: usize = 77;

#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    engine: Engine,
    /// The character. The demo's inputs are used where neither a checkpoint nor any of them is named.
    #[arg(long, value_name = "IMAGE")]
    reference: Option<PathBuf>,
    /// Pose drawings: a directory of images or a video file. Without it the pose's latents are zero.
    #[arg(long, value_name = "PATH")]
    pose: Option<PathBuf>,
    /// Face crops, frame by frame with the pose. Without it the face is empty.
    #[arg(long, value_name = "PATH")]
    face: Option<PathBuf>,
    #[command(flatten)]
    raw: RawVideo,
    #[command(flatten)]
    destination: Destination,
    /// The sound of MP4 and MOV files: keep copies that of the first of background, pose and face that has any, cut to the result.
    #[arg(long, value_enum, value_name = "keep|none", hide_possible_values = true, default_value = "keep")]
    audio: Sound,
    /// Frames made at once, 4n + 1; by default 77, or 17 with the demo's checkpoint.
    #[arg(long, value_name = "N")]
    segment_frames: Option<usize>,
    /// Frames that a segment takes over from the one before, 1 to 5.
    #[arg(long, value_name = "N", default_value_t = 1)]
    overlap: usize,
    /// Frames to leave out at the start of all inputs; by default 0, or as many as --continue-from has.
    #[arg(long, value_name = "N")]
    frame_offset: Option<usize>,
    /// Frames to make at most; by default all that the inputs are for.
    #[arg(long, value_name = "N")]
    num_frames: Option<usize>,
    /// How strongly the pose is followed, 0 to 2; 0 is an absent pose.
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pose_strength: f64,
    /// How strongly the face is followed, 0 to 2; 0 is an absent face.
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    face_strength: f64,
    /// The video so far, of the result's size: what is made goes on from its last frames, as many as --overlap, and follows them.
    #[arg(long, value_name = "PATH")]
    continue_from: Option<PathBuf>,
    /// What is to be seen; by default "the person in the video is moving", in Chinese as the model was trained with.
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    #[command(flatten)]
    settings: Settings,
    /// Frames a second: input videos are resampled to it. By default the inputs' own, or 30 for images.
    #[arg(long, value_name = "N")]
    fps: Option<f64>,
    /// Also write a picture of reference, pose and result side by side.
    #[arg(long, value_name = "PNG")]
    contact_sheet: Option<PathBuf>,
}

impl Arguments {
    /// With the demo's checkpoint where none is named, and with its inputs where none of them is either.
    pub fn or_demo(mut self) -> Self {
        if self.engine.checkpoint.is_named() || !demo::is_here() {
            return self;
        }
        if [&self.reference, &self.pose, &self.face, &self.raw.video].iter().all(|input| input.is_none()) {
            let input = |name| Some(demo::path(name));
            (self.reference, self.pose, self.face) = (input("reference.png"), input("pose"), input("face"));
        }
        self.segment_frames = self.segment_frames.or(Some(demo::SEGMENT_FRAMES));
        self.engine.checkpoint = self.engine.checkpoint.or(demo::path("model"));
        self
    }

    /// An input of `replace`: the named one, or the demo's beside the demo's character.
    pub fn input(&self, named: Option<PathBuf>, name: &str) -> Result<PathBuf> {
        let is_demo = self.reference.as_ref() == Some(&demo::path("reference.png"));
        let path = named.or_else(|| is_demo.then(|| demo::path(name)));
        path.ok_or_else(|| Error::Input(format!("--{name} is missing")))
    }

    /// An input video, at the wanted rate.
    pub fn frames(&self, path: &Path) -> Result<Frames> {
        let frames = Frames::open(path)?;
        match self.fps {
            Some(fps) => frames.at_fps(fps),
            None => Ok(frames),
        }
    }

    /// All inputs, made of the raw video where one is given; to replace, with how the mask grows, and the person's mask where that is given too.
    pub fn conditions(&self, growth: Option<MaskGrowth>, mask: Option<&Path>) -> Result<Option<Conditions>> {
        let reference = if growth.is_some() || self.raw.video.is_none() { None } else { Some(open_image(self.reference()?)?) };
        self.raw.conditions(&Job {
            model: self.engine.checkpoint.folder(),
            adapter: self.engine.adapter.as_deref(),
            size: self.settings.size(),
            fps: self.fps,
            reference: reference.as_ref(),
            mask,
            growth,
        })
    }

    fn reference(&self) -> Result<&PathBuf> {
        self.reference.as_ref().ok_or_else(|| Error::Input("--reference is missing, the character's image".into()))
    }

    pub fn motion(&self) -> Result<Motion> {
        let open = |path: &Option<PathBuf>| path.as_deref().map(|path| self.frames(path)).transpose();
        Motion::new(open(&self.pose)?, open(&self.face)?)
    }

    /// What is heard with the frames, which are `fps` a second. `inputs` are those of `replace`.
    fn sound(&self, inputs: &[&PathBuf], offset: usize, fps: f64) -> Result<Option<Audio>> {
        if let Sound::None = self.audio {
            return Ok(None);
        }
        let inputs = inputs.iter().copied().chain(&self.raw.video).chain(&self.pose).chain(&self.face).map(PathBuf::as_path);
        let audio = sound::find(inputs, self.fps.is_some())?;
        Ok(audio.map(|audio| audio.skip(offset as f64 / fps)))
    }

    /// The frames to continue from, and the input frame that follows them.
    fn beginning(&self) -> Result<(Vec<Frame>, usize)> {
        let Some(path) = &self.continue_from else { return Ok((Vec::new(), self.frame_offset.unwrap_or(0))) };
        let video = Frames::open(path)?;
        let count = video.num_frames();
        let last = (count.saturating_sub(self.overlap)..count).map(|index| Ok(Frame::from(&video.read(index)?)));
        Ok((last.collect::<Result<_>>()?, self.frame_offset.unwrap_or(count)))
    }

    fn request(&self, request: AnimateRequest, given: Vec<Frame>, offset: usize) -> Result<AnimateRequest> {
        let mut request = self.settings.apply(request)?.frame_offset(offset).continue_from(given);
        if let Some(prompt) = &self.prompt {
            request = request.prompt(prompt);
        }
        if let Some(frames) = self.num_frames {
            request = request.num_frames(frames);
        }
        let request = request.pose_strength(self.pose_strength).face_strength(self.face_strength);
        Ok(request.segment_frames(self.segment_frames.unwrap_or(SEGMENT_FRAMES)).overlap(self.overlap))
    }
}

/// Loads what `animate` and `replace` need and hands it to `generate`, with where the frames go. `inputs` are files beside those of
/// the arguments.
pub fn run(
    arguments: &Arguments,
    inputs: &[&PathBuf],
    generate: impl FnOnce(&AnimatePipeline, &RgbImage, &dyn Fn(AnimateRequest, &Motion) -> Result<()>) -> Result<()>,
) -> Result<()> {
    let reference = arguments.reference()?;
    let own = arguments.pose.iter().chain(&arguments.face).chain(&arguments.raw.video).chain([reference]);
    own.chain(inputs.iter().copied()).try_for_each(|input| arguments.destination.check_input(input))?;
    let reference = open_image(reference)?;
    let loaded = arguments.engine.load(AnimatePipeline::builder)?;
    let write = |request: AnimateRequest, motion: &Motion| {
        let fps = arguments.fps.or(motion.fps()).unwrap_or(DEFAULT_FPS);
        let (given, offset) = arguments.beginning()?;
        let request = arguments.request(request, given, offset)?;
        let Some(request) = arguments.engine.planned(request, |request| loaded.pipeline.plan(request))? else { return Ok(()) };
        let options = arguments.destination.options().audio(arguments.sound(inputs, offset, fps)?);
        let mut output = Output::new(arguments.destination.path()?, fps, options)
            .state(arguments.settings.state.as_ref())
            .preview(arguments.settings.preview.as_ref());
        if let Some(sheet) = &arguments.contact_sheet {
            let driving = arguments.raw.video.iter().map(|path| arguments.frames(path)).collect::<Result<Vec<_>>>()?;
            let inputs = driving.into_iter().chain(motion.pose().cloned()).collect();
            output = output.contact_sheet(sheet, &reference, inputs, offset);
        }
        output.write(request.start()?, &loaded)
    };
    generate(&loaded.pipeline, &reference, &write)
}
