//! Where a generation's frames go, and what is told meanwhile.

use std::path::Path;
use std::time::{Duration, Instant};

use image::RgbImage;
use indicatif::{ProgressBar, ProgressStyle};
use wan_animate::preprocess::Report;
use wan_animate::safety::{Safety, Watch};
use wan_animate::video::{Frame, Frames, VideoOptions, VideoWriter};
use wan_animate::{Drift, Error, Event, Generation, Latents, Result, Stage};

use super::Loaded;
use super::contact_sheet::ContactSheet;
use super::kept::Kept;
use super::safety;
use super::settings::Settings;

pub struct Output<'a> {
    path: &'a Path,
    fps: f64,
    options: VideoOptions,
    sheet: Option<Sheet<'a>>,
    files: Files<'a>,
    safety: Option<Safety>,
}

/// What is written beside the video.
#[derive(Clone, Copy, Default)]
struct Files<'a> {
    state: Option<&'a Path>,
    preview: Option<&'a Path>,
    calibration: Option<&'a Path>,
}

/// A contact sheet that is wanted.
struct Sheet<'a> {
    path: &'a Path,
    reference: &'a RgbImage,
    inputs: Vec<Frames>,
    offset: usize,
}

impl<'a> Output<'a> {
    pub fn new(path: &'a Path, fps: f64, options: VideoOptions) -> Self {
        Self { path, fps, options, sheet: None, files: Files::default(), safety: None }
    }

    /// Also the files that the settings name: what the run needs to go on if it is cut off, a picture of how far it is after each step, and
    /// what was measured for caches.
    pub fn files(mut self, settings: &'a Settings) -> Self {
        let (state, preview) = (settings.state.as_deref(), settings.preview.as_deref());
        self.files = Files { state, preview, calibration: settings.cache.calibrate.as_deref() };
        self
    }

    /// Looks at the frames.
    pub fn safety(mut self, safety: Option<Safety>) -> Self {
        self.safety = safety;
        self
    }

    /// Also a picture of reference, pose and result; `offset` is the input frame that the first result belongs to.
    pub fn contact_sheet(mut self, path: &'a Path, reference: &'a RgbImage, inputs: Vec<Frames>, offset: usize) -> Self {
        self.sheet = Some(Sheet { path, reference, inputs, offset });
        self
    }

    /// Runs a generation to its end, writing frames as they come, and sums up.
    pub(super) fn write<P>(mut self, mut generation: Generation, loaded: &Loaded<P>) -> Result<()> {
        let (width, height) = generation.size();
        let writer = VideoWriter::create_with(self.path, width, height, self.fps, &self.options)?;
        let sheet = self.sheet.as_ref().map(|sheet| ContactSheet::new(sheet.path, generation.num_frames()));
        let watch = self.safety.as_mut().map(|safety| Watch::new(safety, generation.num_frames()));
        let mut frames = Taken { writer: Some(writer), sheet, count: 0, poses: None, watch };
        let mut times = StageTimes::new();
        run(&mut generation, self.files, &mut frames, &mut times)?;
        let Taken { sheet, count, poses, watch, .. } = frames;
        watch.iter().for_each(|watch| safety::tell("the result", watch.report()));
        if let (Some(sheet), Some(wanted)) = (sheet, &self.sheet) {
            let inputs: Vec<_> = wanted.inputs.iter().chain(&poses).cloned().collect();
            sheet.write(wanted.reference, &inputs, wanted.offset)?;
        }
        let what = match (count, generation.is_draft()) {
            (1, false) => "frame",
            (_, false) => "frames",
            (_, true) => "frames (a draft, by a tiny decoder)",
        };
        eprintln!("{}: {count} {what} of {width}x{height} pixels at {} fps", self.path.display(), self.fps);
        summarise(loaded, &times);
        write_profile(loaded)
    }
}

/// Where finished frames go.
struct Taken<'a> {
    writer: Option<VideoWriter<'static>>,
    sheet: Option<ContactSheet>,
    count: usize,
    /// Of a raw video, once it is prepared.
    poses: Option<Frames>,
    watch: Option<Watch<'a>>,
}

impl Taken<'_> {
    fn take(&mut self, frame: Frame) -> Result<()> {
        let frame = match &mut self.watch {
            Some(watch) => watch.look(frame)?,
            None => frame,
        };
        if let Some(sheet) = &mut self.sheet {
            sheet.offer(self.count, &frame);
        }
        self.count += 1;
        self.writer.as_mut().map_or(Ok(()), |writer| writer.write(&frame))
    }
}

/// Makes all frames, and completes the video.
fn run(generation: &mut Generation, files: Files, frames: &mut Taken, times: &mut StageTimes) -> Result<()> {
    let bar = progress_bar(generation);
    let mut kept = files.state.map(|path| Kept::open(path, generation)).transpose()?;
    if let Some(kept) = &mut kept {
        kept.replay(generation, |frame| frames.take(frame))?;
    }
    while let Some(event) = generation.next() {
        match event? {
            Event::Stage(stage) => {
                times.begin(stage);
                bar.set_message(stage.to_string());
            }
            Event::Progress(progress) => bar.set_message(progress.to_string()),
            Event::Prepared(conditions) => {
                bar.suspend(|| tell(conditions.report()));
                frames.poses = Some(conditions.pose().clone());
            }
            Event::Preview(latents) => files.preview.map_or(Ok(()), |path| write_preview(path, &latents))?,
            Event::Drift(drift) => times.drifts.push(drift),
            Event::Calibrated(curve) => files.calibration.map_or(Ok(()), |path| curve.save(path))?,
            Event::Step(step) => {
                if let Some(kept) = &mut kept {
                    kept.save(&generation.state())?;
                }
                times.step(step.computed);
                bar.set_position((step.segment * step.steps + step.step + 1) as u64);
                bar.set_message(format!("{step}, about {:.0} s left", step.remaining.as_secs_f64()));
            }
            Event::Frame(frame) => {
                if let Some(kept) = &mut kept {
                    kept.add(&frame)?;
                }
                frames.take(frame)?;
            }
            _ => {}
        }
    }
    frames.writer.take().map_or(Ok(()), VideoWriter::finish)?;
    kept.map_or(Ok(()), Kept::remove)?;
    bar.finish_and_clear();
    Ok(())
}

/// What of the driving video is worth a look.
fn tell(report: &Report) {
    let all = report.frames().len();
    report.summary().iter().for_each(|(flag, frames)| eprintln!("{}: {frames} of {all} frames", flag.name()));
}

/// A picture of each latent frame, side by side.
fn write_preview(path: &Path, latents: &Latents) -> Result<()> {
    let Some(pictures) = latents.to_rgb() else { return Ok(()) };
    let every = pictures.len().div_ceil(latents.shape[1]);
    let pictures: Vec<_> = pictures.into_iter().step_by(every).collect();
    let Some((width, height)) = pictures.first().map(RgbImage::dimensions) else { return Ok(()) };
    let mut all = RgbImage::new(width * pictures.len() as u32, height);
    for (picture, number) in pictures.iter().zip(0..) {
        image::imageops::replace(&mut all, picture, number * i64::from(width), 0);
    }
    all.save(path).map_err(|error| Error::Input(format!("{}: {error}", path.display())))
}

fn write_profile<P>(loaded: &Loaded<P>) -> Result<()> {
    let (Some(path), Some(profile)) = (&loaded.profile, loaded.device.profile()) else { return Ok(()) };
    eprint!("{}", profile.table());
    std::fs::write(path, profile.chrome_trace()).map_err(|error| Error::Input(format!("{}: {error}", path.display())))
}

fn summarise<P>(loaded: &Loaded<P>, times: &StageTimes) {
    eprintln!("  loading       {:>8.1} s", loaded.loading.as_secs_f64());
    for (name, time) in times.totals() {
        eprintln!("  {name:<13} {:>8.1} s", time.as_secs_f64());
    }
    if times.steps.contains('0') {
        let computed = times.steps.matches('1').count();
        eprintln!("  {computed} of {} steps were computed: {}", times.steps.len(), times.steps);
    }
    for Drift { segment, drift, anchored, .. } in &times.drifts {
        eprintln!("  color drift   {drift:>8.2} of Lab into segment {}, {anchored:.2} with the anchor", segment + 1);
    }
    eprintln!("  all           {:>8.1} s", loaded.begun.elapsed().as_secs_f64());
    eprintln!("  peak memory   {:>8.1} MiB on the GPU", loaded.device.memory_use().peak as f64 / f64::from(1 << 20));
}

fn progress_bar(generation: &Generation) -> ProgressBar {
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
    /// 1 for each step that was computed, 0 for each that reused.
    steps: String,
    drifts: Vec<Drift>,
}

impl StageTimes {
    fn new() -> Self {
        Self { current: None, totals: Vec::new(), steps: String::new(), drifts: Vec::new() }
    }

    fn begin(&mut self, stage: Stage) {
        let name = match stage {
            Stage::Preprocessing => "preprocessing",
            Stage::Encoding => "encoding",
            Stage::Conditioning { .. } => "conditioning",
            Stage::Switching { .. } => "switching",
            Stage::Denoising { .. } => "denoising",
            Stage::Decoding { .. } => "decoding",
            _ => "other",
        };
        self.end();
        self.current = Some((name, Instant::now()));
    }

    fn step(&mut self, computed: bool) {
        self.steps.push(if computed { '1' } else { '0' });
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
        let mut all = Self { current: self.current, totals: self.totals.clone(), ..Self::new() };
        all.end();
        all.totals
    }
}
