//! The command line that the examples share.

mod contact_sheet;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use image::RgbImage;
use indicatif::{ProgressBar, ProgressStyle};
use wan_animate::video::{Frames, Motion, VideoWriter, open_image};
use wan_animate::{AnimatePipeline, AnimateRequest, Device, Event, Latents, Precision, Result, Scheduler, Stage};

use contact_sheet::ContactSheet;

/// Frames a second of images, which do not say their own.
const DEFAULT_FPS: f64 = 30.0;

#[derive(Args, Debug)]
pub struct Arguments {
    /// A checkpoint folder in the layout of diffusers.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// The character.
    #[arg(long, value_name = "IMAGE")]
    reference: PathBuf,
    /// Pose drawings: a directory of images or a video file. Without it the pose's latents are zero.
    #[arg(long, value_name = "PATH")]
    pose: Option<PathBuf>,
    /// Face crops, frame by frame with the pose. Without it the face is left to the model.
    #[arg(long, value_name = "PATH")]
    face: Option<PathBuf>,
    /// Where the result goes: .mp4, .mov, .gif, .safetensors, or a directory for PNG files.
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Width in pixels, a multiple of 16; by default that of the pose video. Goes with --height.
    #[arg(long, requires = "height")]
    width: Option<u32>,
    /// Height in pixels, a multiple of 16; by default that of the pose video. Goes with --width.
    #[arg(long, requires = "width")]
    height: Option<u32>,
    /// Frames made at once, 4n + 1.
    #[arg(long, value_name = "N", default_value_t = 77)]
    segment_frames: usize,
    /// Frames that a segment takes over from the one before, 1 to 5.
    #[arg(long, value_name = "N", default_value_t = 1)]
    overlap: usize,
    /// Frames to leave out at the start of all inputs.
    #[arg(long, value_name = "N", default_value_t = 0)]
    frame_offset: usize,
    /// Denoising steps of a segment.
    #[arg(long, value_name = "N", default_value_t = 20)]
    steps: usize,
    /// Above 1, each step costs a second pass.
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    guidance_scale: f64,
    /// The schedule's shift; by default the checkpoint's.
    #[arg(long, value_name = "X")]
    shift: Option<f64>,
    /// The solver, unipc, dpm++ or euler; by default the checkpoint's.
    #[arg(long)]
    scheduler: Option<Scheduler>,
    /// What is to be seen; by default "the person in the video is moving", in Chinese as the model was trained with.
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    /// What is not to be seen, where the guidance scale is above 1; by default the model's long list of flaws.
    #[arg(long, value_name = "TEXT")]
    negative_prompt: Option<String>,
    /// The seed of the noise, the same as PyTorch's on the CPU.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// The initial noise in place of the seed's: a safetensors file of segment_0, segment_1, .. each [C, T + 1, H / 8, W / 8].
    #[arg(long, value_name = "FILE")]
    noise: Option<PathBuf>,
    /// Frames a second: input videos are resampled to it. By default the inputs' own, or 30 for images.
    #[arg(long, value_name = "N")]
    fps: Option<f64>,
    /// f32 agrees with the reference; f16 needs half the memory.
    #[arg(long, value_name = "f32|f16", default_value = "f16")]
    precision: Precision,
    /// Part of the name of the adapter to use; by default the fastest.
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// Also write a picture of reference, pose and result side by side.
    #[arg(long, value_name = "PNG")]
    contact_sheet: Option<PathBuf>,
}

impl Arguments {
    /// An input video, at the wanted rate.
    pub fn frames(&self, path: &Path) -> Result<Frames> {
        let frames = Frames::open(path)?;
        match self.fps {
            Some(fps) => frames.at_fps(fps),
            None => Ok(frames),
        }
    }

    pub fn motion(&self) -> Result<Motion> {
        let open = |path: &Option<PathBuf>| path.as_deref().map(|path| self.frames(path)).transpose();
        Motion::new(open(&self.pose)?, open(&self.face)?)
    }

    fn request<'a>(&self, mut request: AnimateRequest<'a>) -> Result<AnimateRequest<'a>> {
        if let (Some(width), Some(height)) = (self.width, self.height) {
            request = request.size(width, height);
        }
        if let Some(shift) = self.shift {
            request = request.shift(shift);
        }
        if let Some(scheduler) = self.scheduler {
            request = request.scheduler(scheduler);
        }
        if let Some(prompt) = &self.prompt {
            request = request.prompt(prompt);
        }
        if let Some(prompt) = &self.negative_prompt {
            request = request.negative_prompt(prompt);
        }
        if let Some(file) = &self.noise {
            request = request.noise(Latents::read_segments(file)?);
        }
        Ok(request
            .segment_frames(self.segment_frames)
            .overlap(self.overlap)
            .frame_offset(self.frame_offset)
            .num_inference_steps(self.steps)
            .guidance_scale(self.guidance_scale)
            .seed(self.seed))
    }
}

/// Where a generation's frames go.
pub struct Output<'a> {
    arguments: &'a Arguments,
    reference: &'a RgbImage,
    device: &'a Device,
    begun: Instant,
    loading: Duration,
}

/// Loads what both examples need and hands it to `generate`.
pub fn run(arguments: &Arguments, generate: impl FnOnce(&AnimatePipeline, &RgbImage, Output) -> Result<()>) -> Result<()> {
    let begun = Instant::now();
    let reference = open_image(&arguments.reference)?;
    let mut builder = Device::builder();
    if let Some(name) = &arguments.adapter {
        builder = builder.adapter_name(name);
    }
    let device = builder.build()?;
    eprintln!("{}", device.adapter());
    let pipeline = AnimatePipeline::builder(&device).checkpoint(&arguments.model).precision(arguments.precision).build()?;
    let loading = begun.elapsed();
    generate(&pipeline, &reference, Output { arguments, reference: &reference, device: &device, begun, loading })
}

/// Prints an error as a person wants to read it.
pub fn report(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Output<'_> {
    /// Runs a request to its end, writing frames as they come, and sums up.
    pub fn generate(self, request: AnimateRequest, fps: Option<f64>) -> Result<()> {
        let Self { arguments, reference, .. } = self;
        let pose = arguments.motion()?.pose().cloned();
        let generation = arguments.request(request)?.start()?;
        let (width, height) = generation.size();
        let fps = arguments.fps.or(fps).unwrap_or(DEFAULT_FPS);
        let mut writer = VideoWriter::create(&arguments.out, width, height, fps)?;
        let mut sheet = arguments.contact_sheet.as_deref().map(|path| ContactSheet::new(path, generation.num_frames()));
        let bar = progress_bar(&generation);
        let mut times = StageTimes::new();
        let mut frames = 0;
        for event in generation {
            match event? {
                Event::Stage(stage) => {
                    times.begin(stage);
                    bar.set_message(stage.to_string());
                }
                Event::Step(step) => {
                    bar.inc(1);
                    bar.set_message(format!("{step}, about {:.0} s of steps left", step.remaining.as_secs_f64()));
                }
                Event::Frame(frame) => {
                    writer.write(&frame)?;
                    if let Some(sheet) = &mut sheet {
                        sheet.offer(frames, &frame);
                    }
                    frames += 1;
                }
                _ => {}
            }
        }
        writer.finish()?;
        bar.finish_and_clear();
        if let Some(sheet) = sheet {
            sheet.write(reference, pose.as_ref(), arguments.frame_offset)?;
        }
        self.summarise(frames, (width, height), fps, &times);
        Ok(())
    }

    fn summarise(&self, frames: usize, (width, height): (u32, u32), fps: f64, times: &StageTimes) {
        eprintln!("{}: {frames} frames of {width}x{height} at {fps} fps", self.arguments.out.display());
        eprintln!("  loading      {:>8.1} s", self.loading.as_secs_f64());
        for (name, time) in times.totals() {
            eprintln!("  {name:<12} {:>8.1} s", time.as_secs_f64());
        }
        eprintln!("  all          {:>8.1} s", self.begun.elapsed().as_secs_f64());
        eprintln!("  peak memory  {:>8.1} MiB on the GPU", self.device.memory_use().peak as f64 / f64::from(1 << 20));
    }
}

fn progress_bar(generation: &wan_animate::Generation) -> ProgressBar {
    let steps = (generation.num_segments() * generation.num_steps()) as u64;
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} [{elapsed}] {msg}").expect("a valid template");
    let bar = ProgressBar::new(steps).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Seconds by kind of stage.
struct StageTimes {
    current: Option<(&'static str, Instant)>,
    totals: Vec<(&'static str, Duration)>,
}

impl StageTimes {
    fn new() -> Self {
        Self { current: None, totals: Vec::new() }
    }

    fn begin(&mut self, stage: Stage) {
        let name = match stage {
            Stage::Encoding => "encoding",
            Stage::Conditioning { .. } => "conditioning",
            Stage::Denoising { .. } => "denoising",
            Stage::Decoding { .. } => "decoding",
            _ => "other",
        };
        self.end();
        self.current = Some((name, Instant::now()));
    }

    fn end(&mut self) {
        let Some((name, begun)) = self.current.take() else { return };
        match self.totals.iter_mut().find(|(other, _)| *other == name) {
            Some((_, total)) => *total += begun.elapsed(),
            None => self.totals.push((name, begun.elapsed())),
        }
    }

    /// With the time of the last stage up to its last event.
    fn totals(&self) -> Vec<(&'static str, Duration)> {
        let mut all = Self { current: self.current, totals: self.totals.clone() };
        all.end();
        all.totals
    }
}
