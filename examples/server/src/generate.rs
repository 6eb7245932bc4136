//! A generation on the engine's thread, told to the worker piece by piece.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use wan_animate::driving::DrivingVideo;
use wan_animate::image::{ImageFormat, RgbImage};
use wan_animate::networks::NetworkFiles;
use wan_animate::preprocess::{Aspect, Preprocess, Retarget, area_size};
use wan_animate::video::{Frames, Motion, Scene, open_image};
use wan_animate::{AnimatePipeline, AnimateRequest, Cancel, Error, Event, Generation, Latents, Result, Sampler, State, Step};

use crate::config::Config;
use crate::engine::Engine;
use crate::request::{JobRequest, Mode};

/// Between two previews.
const PREVIEWS: Duration = Duration::from_secs(1);
/// Frames a second where no input says any.
const DEFAULT_FPS: f64 = 16.0;

/// The files of a request, by field.
pub type Files = HashMap<&'static str, PathBuf>;

pub struct Order {
    pub request: JobRequest,
    pub seed: u64,
    pub files: Files,
    /// To go on from.
    pub state: Option<State>,
    pub cancel: Cancel,
    /// Set where the worker is to stop: a last checkpoint, and an end.
    pub drain: Arc<AtomicBool>,
    pub told: mpsc::Sender<Told>,
}

pub enum Told {
    Begun {
        frames: usize,
        segments: usize,
        steps: usize,
        size: (u32, u32),
        fps: f64,
    },
    Stage(String),
    Step(Step),
    /// A finished frame as PNG.
    Frame(Vec<u8>),
    /// What the frames that are made will look like, small, as JPEG.
    Preview(Vec<u8>),
    /// It can go on from here: the state's file, and the frames that had left.
    Checkpoint(Vec<u8>, usize),
    Warning(String),
}

/// How it ended, where it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Done,
    Drained,
}

/// Makes all frames, or as many as there is time for.
pub fn generate(engine: &mut Engine, order: Order) -> Result<End> {
    let config = engine.config().clone();
    let pipeline = engine.pipeline(&order.request.loras, order.request.draft)?;
    let (request, fps) = build(pipeline, &config, &order)?;
    let mut request = request.seed(order.seed).num_videos(order.request.count as usize).previews(true).cancel(order.cancel.clone());
    if let Some(state) = &order.state {
        request = request.resume(state.clone());
    }
    let generation = request.start()?;
    let begun = Told::Begun {
        frames: generation.num_frames(),
        segments: generation.num_segments(),
        steps: generation.num_steps(),
        size: generation.size(),
        fps,
    };
    if generation.num_frames() * order.request.count as usize > config.max_frames {
        return Err(Error::Input(format!("more than this server's {} frames; set `max_frames`", config.max_frames)));
    }
    tell(&order, begun)?;
    run(generation, &order, Duration::from_millis(config.checkpoint_ms))
}

fn run(mut generation: Generation, order: &Order, between: Duration) -> Result<End> {
    let (mut last, mut shown) = (Instant::now(), None);
    while let Some(event) = generation.next() {
        let is_step = matches!(event, Ok(Event::Step(_)));
        match event? {
            Event::Preview(latents) if shown.is_none_or(|at: Instant| at.elapsed() >= PREVIEWS) => {
                shown = Some(Instant::now());
                preview(&latents, order)?;
            }
            event => relay(event, order)?,
        }
        let drained = order.drain.load(Ordering::Relaxed);
        if drained || (is_step && last.elapsed() >= between) {
            let state = generation.state();
            tell(order, Told::Checkpoint(state.to_bytes(), state.frames()))?;
            last = Instant::now();
        }
        if drained {
            return Ok(End::Drained);
        }
    }
    Ok(End::Done)
}

fn relay(event: Event, order: &Order) -> Result<()> {
    match event {
        Event::Stage(stage) => tell(order, Told::Stage(stage.to_string())),
        Event::Progress(progress) => tell(order, Told::Stage(progress.to_string())),
        Event::Step(step) => tell(order, Told::Step(step)),
        Event::Warning(warning) => tell(order, Told::Warning(warning)),
        Event::Frame(frame) => tell(order, Told::Frame(encoded(&frame.to_rgb8(), ImageFormat::Png)?)),
        _ => Ok(()),
    }
}

/// The picture in the middle.
fn preview(latents: &Latents, order: &Order) -> Result<()> {
    let pictures = latents.to_rgb().unwrap_or_default();
    match pictures.get(pictures.len() / 2) {
        Some(picture) => tell(order, Told::Preview(encoded(picture, ImageFormat::Jpeg)?)),
        None => Ok(()),
    }
}

/// Nobody listens where the job was lost.
fn tell(order: &Order, told: Told) -> Result<()> {
    order.told.blocking_send(told).map_err(|_| Error::Cancelled)
}

fn encoded(picture: &RgbImage, format: ImageFormat) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).map_err(Error::foreign)?;
    Ok(bytes.into_inner())
}

fn build(pipeline: &AnimatePipeline, config: &Config, order: &Order) -> Result<(AnimateRequest, f64)> {
    let missing = || Error::Input("`image` is missing".into());
    let reference = open_image(order.files.get("image").ok_or_else(missing)?.as_path())?;
    let (request, fps) = match order.files.get("video") {
        Some(_) => from_video(pipeline, config, order, &reference)?,
        None => from_poses(pipeline, config, order, &reference)?,
    };
    Ok((settings(request, config, &order.request)?, fps))
}

/// Networks find the person, and what is given stands in for what would be made of that.
fn from_video(pipeline: &AnimatePipeline, config: &Config, order: &Order, reference: &RgbImage) -> Result<(AnimateRequest, f64)> {
    let job = &order.request;
    let open = |field| order.files.get(field).map(|path| Frames::open(path.as_path())).transpose();
    let missing = || Error::Input("`video` is missing".into());
    let mut driving = DrivingVideo::new(open("video")?.ok_or_else(missing)?).preprocess(preprocess(config, job));
    if let Some(folder) = &config.networks {
        driving = driving.networks(NetworkFiles::new().folder(folder.as_path()));
    }
    driving = open("pose")?.into_iter().fold(driving, DrivingVideo::pose);
    driving = open("face")?.into_iter().fold(driving, DrivingVideo::face);
    driving = open("background")?.into_iter().fold(driving, DrivingVideo::background);
    driving = open("mask")?.into_iter().fold(driving, DrivingVideo::mask);
    let fps = driving.fps()?;
    let request = match job.mode {
        Mode::Animate => pipeline.animate_video(reference, &driving)?,
        Mode::Replace => pipeline.replace_video(reference, &driving)?,
    };
    Ok((request, fps))
}

fn preprocess(config: &Config, job: &JobRequest) -> Preprocess {
    let mut preprocess = Preprocess::new().aspect(Aspect::Video);
    if let Some((area, _)) = job.area(config) {
        preprocess = preprocess.area(area);
    }
    if let (Some(width), Some(height)) = (job.width, job.height) {
        preprocess = preprocess.size(width, height);
    }
    if job.fps != 0.0 {
        preprocess = preprocess.fps(job.fps);
    }
    if job.retarget {
        preprocess = preprocess.retarget(Retarget::to_found());
    }
    match job.mask_options {
        Some(mask) => {
            let preprocess = preprocess.iterations(mask.iterations).kernel_size(mask.kernel_size);
            preprocess.w_subdivisions(mask.w_subdivisions).h_subdivisions(mask.h_subdivisions)
        }
        None => preprocess,
    }
}

fn from_poses(pipeline: &AnimatePipeline, config: &Config, order: &Order, reference: &RgbImage) -> Result<(AnimateRequest, f64)> {
    let job = &order.request;
    let open = |field| {
        let frames = order.files.get(field).map(|path| Frames::open(path.as_path())).transpose()?;
        frames.map(|frames| if job.fps == 0.0 { Ok(frames) } else { frames.at_fps(job.fps) }).transpose()
    };
    let motion = Motion::new(open("pose")?, open("face")?)?;
    let fps = motion.fps().unwrap_or(DEFAULT_FPS);
    let shown = motion.pose().or(motion.face()).map(|frames| frames.size());
    let request = match job.mode {
        Mode::Animate => pipeline.animate(reference, &motion),
        Mode::Replace => {
            let missing = || Error::Input("`background` and `mask` are needed".into());
            let (background, mask) = (open("background")?.ok_or_else(missing)?, open("mask")?.ok_or_else(missing)?);
            pipeline.replace(reference, &Scene::new(motion, background, mask)?)
        }
    };
    match (job.area(config), shown) {
        // Drawings have the size that the result is to have, unless another is asked for.
        (Some((area, reduced)), Some((width, height))) if reduced || job.resolution.is_some() => {
            let (width, height) = area_size(width, height, area)?;
            Ok((request.size(width, height), fps))
        }
        _ => Ok((request, fps)),
    }
}

fn settings(mut request: AnimateRequest, config: &Config, job: &JobRequest) -> Result<AnimateRequest> {
    request = request.num_inference_steps(job.steps as usize).overlap(job.overlap).frame_offset(job.frame_offset);
    request = request.segment_frames(job.segment_frames.unwrap_or(config.segment_frames));
    if let (Some(width), Some(height)) = (job.width, job.height) {
        request = request.size(width, height);
    }
    request = job.prompt.iter().filter(|prompt| !prompt.is_empty()).fold(request, |request, prompt| request.prompt(prompt));
    request =
        job.negative_prompt.iter().filter(|prompt| !prompt.is_empty()).fold(request, |request, prompt| request.negative_prompt(prompt));
    request = job.guidance_scale.into_iter().fold(request, |request, scale| request.guidance_scale(scale));
    request = job.shift.into_iter().fold(request, |request, shift| request.shift(shift));
    request = job.max_frames.into_iter().fold(request, |request, frames| request.num_frames(frames));
    request = job.windows.into_iter().fold(request, |request, windows| request.windows(windows.frames, windows.overlap));
    request = job.color_anchor.into_iter().fold(request, |request, strength| request.color_anchor(strength));
    if let Some(name) = &job.scheduler {
        request = request.scheduler(name.parse::<Sampler>()?);
    }
    request = job.cache()?.into_iter().fold(request, |request, cache| request.cache(cache));
    Ok(request)
}
