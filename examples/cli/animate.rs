//! The options of `animate` and `replace`.

use std::path::{Path, PathBuf};

use clap::Args;
use image::RgbImage;
use wan_animate::driving::DrivingVideo;
use wan_animate::video::{Audio, Frame, Frames, Motion, Scene, open_image};
use wan_animate::{AnimatePipeline, AnimateRequest, Error, Result};

use super::driving::{Driving, Given};
use super::safety;
use super::sound::{self, Sound};
use super::{Destination, Engine, Output, Settings, demo};

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
    /// The driving video as it was filmed: networks find the person, and poses and faces, or to replace it background and mask too, are made of
    /// that where they are not given.
    #[arg(long, value_name = "PATH")]
    video: Option<PathBuf>,
    #[command(flatten)]
    driving: Driving,
    #[command(flatten)]
    destination: Destination,
    /// The sound of MP4 and MOV files: keep copies that of the first of background, driving video, pose and face that has any, cut
    /// to the result.
    #[arg(long, value_enum, value_name = "keep|none", hide_possible_values = true, default_value = "keep")]
    audio: Sound,
    /// Frames made at once, 4n + 1; by default 77, or 17 with the demo's checkpoint.
    #[arg(long, value_name = "N")]
    segment_frames: Option<usize>,
    /// Frames that a segment takes over from the one before, 1 to 5.
    #[arg(long, value_name = "N", default_value_t = 1)]
    overlap: usize,
    /// Makes the whole video as one, in windows of FRAMES (4n + 1) that overlap by OVERLAP (4n), such as 81:16, in place of segments.
    #[arg(long, value_name = "FRAMES:OVERLAP", value_parser = windows, conflicts_with = "continue_from")]
    windows: Option<(usize, usize)>,
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
    /// How far the colours of a segment are held to those of the one before, 0 to 1.
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    color_anchor: f64,
    /// The video so far, of the result's size: what is made goes on from its last frames, as many as --overlap, and follows them.
    #[arg(long, value_name = "PATH")]
    continue_from: Option<PathBuf>,
    /// What is to be seen; by default "the person in the video is moving", in Chinese as the model was trained with.
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    #[command(flatten)]
    settings: Settings,
    /// Frames a second: input videos are resampled to it. By default, or with -1, the inputs' own, or 30 for images.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    fps: Option<f64>,
    /// Also write a picture of reference, pose and result side by side.
    #[arg(long, value_name = "PNG")]
    contact_sheet: Option<PathBuf>,
}

impl Arguments {
    /// With the demo's checkpoint where none is named, and with its inputs where none of them is either.
    pub fn or_demo(mut self) -> Self {
        // How Wan2.2's own preprocessing is asked for the video's.
        self.fps = self.fps.filter(|&fps| fps != -1.0);
        if self.engine.checkpoint.is_named() || !demo::is_here() {
            return self;
        }
        if [&self.reference, &self.pose, &self.face, &self.video].iter().all(|input| input.is_none()) {
            let input = |name| Some(demo::path(name));
            (self.reference, self.pose, self.face) = (input("reference.png"), input("pose"), input("face"));
        }
        self.segment_frames = self.segment_frames.or(Some(demo::SEGMENT_FRAMES));
        self.engine.checkpoint = self.engine.checkpoint.or(demo::path("model"));
        self
    }

    /// An input of `replace`: the named one, or the demo's beside the demo's character.
    fn input(&self, named: Option<&PathBuf>, name: &str) -> Result<PathBuf> {
        let is_demo = self.reference.as_ref() == Some(&demo::path("reference.png"));
        let path = named.cloned().or_else(|| is_demo.then(|| demo::path(name)));
        path.ok_or_else(|| Error::Input(format!("--{name} is missing")))
    }

    /// An input video, at the wanted rate.
    fn frames(&self, path: &Path) -> Result<Frames> {
        let frames = Frames::open(path)?;
        match self.fps {
            Some(fps) => frames.at_fps(fps),
            None => Ok(frames),
        }
    }

    /// The raw video, where one is given, and for a scene its background and mask where they are given too.
    fn raw(&self, reference: &RgbImage, scene: Option<Given>) -> Result<Option<DrivingVideo>> {
        let Some(video) = &self.video else { return Ok(None) };
        let given = Given { pose: self.pose.as_deref(), face: self.face.as_deref(), ..scene.unwrap_or_default() };
        self.driving.video(video, self.fps, self.settings.size(), Some(reference.dimensions()), given).map(Some)
    }

    /// Videos of persons and places: no drawings and masks.
    fn filmed<'a>(&'a self, background: Option<&'a PathBuf>) -> Result<Vec<(&'a Path, Frames)>> {
        let videos = self.video.iter().chain(&self.face).chain(background);
        videos.map(|path| Ok((path.as_path(), self.frames(path)?))).collect()
    }

    fn reference(&self) -> Result<&PathBuf> {
        self.reference.as_ref().ok_or_else(|| Error::Input("--reference is missing, the character's image".into()))
    }

    fn motion(&self) -> Result<Motion> {
        let open = |path: &Option<PathBuf>| path.as_deref().map(|path| self.frames(path)).transpose();
        Motion::new(open(&self.pose)?, open(&self.face)?)
    }

    /// What is heard with the frames, which are `fps` a second. `inputs` are those of `replace`.
    fn sound(&self, inputs: &[PathBuf], offset: usize, fps: f64) -> Result<Option<Audio>> {
        if let Sound::None = self.audio {
            return Ok(None);
        }
        let inputs = inputs.iter().chain(&self.video).chain(&self.pose).chain(&self.face).map(PathBuf::as_path);
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
        let request = request.pose_strength(self.pose_strength).face_strength(self.face_strength).color_anchor(self.color_anchor);
        let request = match self.windows {
            Some((frames, overlap)) => request.windows(frames, overlap),
            None => request,
        };
        Ok(request.segment_frames(self.segment_frames.unwrap_or(SEGMENT_FRAMES)).overlap(self.overlap))
    }
}

/// `81:16`
fn windows(text: &str) -> std::result::Result<(usize, usize), String> {
    let parsed = text.split_once(':').and_then(|(frames, overlap)| Some((frames.parse().ok()?, overlap.parse().ok()?)));
    parsed.ok_or_else(|| format!("`{text}`: not FRAMES:OVERLAP, such as 81:16"))
}

/// What is made of the reference: by default it is animated.
#[derive(Clone, Copy, Debug)]
pub enum Task<'a> {
    Animate,
    Replace { background: Option<&'a PathBuf>, mask: Option<&'a PathBuf> },
}

/// A request, and what of its inputs the output needs.
struct Job {
    request: AnimateRequest,
    fps: Option<f64>,
    /// Rows of the contact sheet.
    shown: Vec<Frames>,
    /// Files beside those of the arguments.
    files: Vec<PathBuf>,
}

impl Arguments {
    fn job(&self, pipeline: &AnimatePipeline, reference: &RgbImage, task: Task) -> Result<Job> {
        let scene = match task {
            Task::Animate => None,
            Task::Replace { background, mask } => {
                Some(Given { background: background.map(PathBuf::as_path), mask: mask.map(PathBuf::as_path), ..Given::default() })
            }
        };
        if let Some(driving) = self.raw(reference, scene)? {
            let request = match task {
                Task::Animate => pipeline.animate_video(reference, &driving)?,
                Task::Replace { .. } => pipeline.replace_video(reference, &driving)?,
            };
            let shown = self.video.iter().map(|path| self.frames(path)).collect::<Result<_>>()?;
            let files = scene.iter().flat_map(|given| [given.background, given.mask]).flatten().map(Path::to_path_buf).collect();
            return Ok(Job { request, fps: Some(driving.fps()?), shown, files });
        }
        let motion = self.motion()?;
        let (fps, shown) = (motion.fps(), motion.pose().cloned().into_iter().collect());
        let Task::Replace { background, mask } = task else {
            return Ok(Job { request: pipeline.animate(reference, &motion), fps, shown, files: Vec::new() });
        };
        let (background, mask) = (self.input(background, "background")?, self.input(mask, "mask")?);
        let scene = Scene::new(motion, self.frames(&background)?, self.frames(&mask)?)?;
        Ok(Job { request: pipeline.replace(reference, &scene), fps, shown, files: vec![background, mask] })
    }
}

/// Loads what `animate` and `replace` need, and makes a video.
pub fn run(arguments: &Arguments, task: Task) -> Result<()> {
    let reference = arguments.reference()?;
    let scene = match task {
        Task::Animate => [None; 2],
        Task::Replace { background, mask } => [background, mask],
    };
    let inputs = arguments.pose.iter().chain(&arguments.face).chain(&arguments.video).chain([reference]);
    inputs.chain(scene.into_iter().flatten()).try_for_each(|input| arguments.destination.check_input(input))?;
    let reference = open_image(reference)?;
    let loaded = arguments.engine.load(AnimatePipeline::builder)?;
    let Job { request, fps, shown, files } = arguments.job(&loaded.pipeline, &reference, task)?;
    let fps = arguments.fps.or(fps).unwrap_or(DEFAULT_FPS);
    let (given, offset) = arguments.beginning()?;
    let request = arguments.request(request, given, offset)?;
    let Some(request) = arguments.engine.planned(request, |request| loaded.pipeline.plan(request))? else { return Ok(()) };
    let mut safety = arguments.settings.safety.open(&loaded.device)?;
    if let Some(safety) = &mut safety {
        safety::look(safety, Some(&reference), arguments.filmed(scene[0])?)?;
    }
    let options = arguments.destination.options().audio(arguments.sound(&files, offset, fps)?);
    let mut output = Output::new(arguments.destination.path()?, fps, options).files(&arguments.settings).safety(safety);
    if let Some(sheet) = &arguments.contact_sheet {
        output = output.contact_sheet(sheet, &reference, shown, offset);
    }
    output.write(request.start()?, &loaded)
}
