//! A job under way: goes on from its last checkpoint, tells of its progress, keeps what was made.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use wan_animate::{Cancel, Error, Location, State, Step};

use crate::app::App;
use crate::clock::{in_time, now};
use crate::error::{Failure, Result};
use crate::examine;
use crate::generate::{self, End, Files, Order, Told};
use crate::inputs;
use crate::job::{FrameRun, Job, Progress, count};
use crate::leases::{self, Ending, Hold};
use crate::queue::stopped;
use crate::request::JobRequest;
use crate::worker::Worker;

/// Between two signs of life, and about so long a cancel takes to be seen.
pub const BEAT: Duration = Duration::from_millis(250);

/// Why a job does not go on here.
pub enum Stop {
    /// It is another worker's.
    Lost,
    Cancelled,
    /// This process is to end.
    Drained,
    Failed {
        code: String,
        message: String,
    },
    /// It may go better another time, or on another worker.
    Retry(String),
}

impl From<Failure> for Stop {
    fn from(error: Failure) -> Self {
        if error.status.is_server_error() {
            return Self::Retry(error.message);
        }
        Self::Failed { code: error.code.into(), message: error.message }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match &error {
            Error::Cancelled => Self::Cancelled,
            Error::Device(_) | Error::DeviceLost(_) | Error::Busy | Error::Io { .. } => Self::Retry(error.to_string()),
            Error::Weights { .. } => Self::Failed { code: "server_error".into(), message: error.to_string() },
            Error::Input(_) => Self::Failed { code: "invalid_input".into(), message: error.to_string() },
            _ => Self::Failed { code: error.code().into(), message: error.to_string() },
        }
    }
}

pub struct Run<'a> {
    pub worker: &'a Worker,
    pub job: Job,
    pub request: JobRequest,
    pub at: Progress,
    /// Frames that are in the store.
    runs: Vec<FrameRun>,
    /// Since the last sign of life.
    steps_made: i64,
    pub warnings: Vec<String>,
    pub cancel: Cancel,
    drain: Arc<AtomicBool>,
    pub folder: PathBuf,
}

impl Drop for Run<'_> {
    /// Whatever ends it, the GPU is free, and the disk.
    fn drop(&mut self) {
        self.cancel.cancel();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl<'a> Run<'a> {
    pub fn new(worker: &'a Worker, job: Job) -> Result<Self> {
        Ok(Self {
            worker,
            request: job.request()?,
            at: Progress { total_frames: job.at.total_frames, fps: job.at.fps, ..Progress::default() },
            runs: job.frame_runs(),
            steps_made: 0,
            warnings: serde_json::from_str(&job.warnings).unwrap_or_default(),
            cancel: Cancel::new(),
            drain: Arc::default(),
            folder: worker.app.config.data.join("scratch").join(format!("{}-{}", job.id, job.lease)),
            job,
        })
    }

    pub fn app(&self) -> &App {
        &self.worker.app
    }

    /// Where files of this lease are.
    pub fn key(&self, name: &str) -> String {
        format!("jobs/{}/{}/{name}", self.job.id, self.job.lease)
    }

    pub async fn make(&mut self) -> Result<Ending, Stop> {
        std::fs::create_dir_all(self.folder.join("frames")).map_err(Failure::internal)?;
        let begun = Instant::now();
        let app = self.worker.app.clone();
        let (request, folder) = (self.request.clone(), self.folder.clone());
        self.at.stage = "fetching".into();
        let files = self.holding(async move { inputs::bring(&app, &request, &folder).await }).await??;
        self.at.stage = "examining".into();
        let (app, brought) = (self.worker.app.clone(), files.clone());
        self.holding(async move { examine::examine(&app.config, &brought).await }).await??;
        self.advance("running").await?;
        let made = count(&self.runs);
        let all = self.at.total_frames as usize * self.request.count as usize;
        let size = if all == 0 || made < all { self.generate(files.clone()).await? } else { self.bring_frames().await? };
        self.advance("encoding").await?;
        self.encode(files, size, begun).await
    }

    /// Where the store is away, that is no failure of the job: it waits here until the store is back, and is given back to go on.
    pub async fn after_outage(&mut self, failure: String) -> Stop {
        let store = self.app().store.clone();
        let outage = async move {
            let mut was_away = false;
            while !store.is_up().await {
                was_away = true;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            was_away
        };
        match self.holding(outage).await {
            Ok(true) => Stop::Drained,
            Ok(false) => Stop::Retry(failure),
            Err(stop) => stop,
        }
    }

    /// Does something that takes its time, with signs of life meanwhile; but not longer than this process is to live.
    pub async fn holding<T: Send + 'static>(&mut self, work: impl Future<Output = T> + Send + 'static) -> Result<T, Stop> {
        let stop = self.app().stop.clone();
        tokio::select! {
            done = self.beating(work) => done,
            () = stopped(stop) => Err(Stop::Drained),
        }
    }

    /// The same, to its end.
    async fn beating<T: Send + 'static>(&mut self, work: impl Future<Output = T> + Send + 'static) -> Result<T, Stop> {
        let mut work = AbortOnDropHandle::new(tokio::spawn(work));
        // What is done at once needs no sign of life.
        let mut beats = tokio::time::interval_at(tokio::time::Instant::now() + BEAT, BEAT);
        loop {
            tokio::select! {
                done = &mut work => return done.map_err(|error| Stop::Retry(error.to_string())),
                _ = beats.tick() => self.beat().await?,
            }
        }
    }

    async fn beat(&mut self) -> Result<(), Stop> {
        let hold = match leases::beat(&self.app().database, &self.job, &self.at, &self.runs, self.steps_made).await {
            Ok(hold) => hold,
            // The lease holds for as long as nobody takes it.
            Err(error) => {
                tracing::warn!("{error}");
                return Ok(());
            }
        };
        self.steps_made = 0;
        match hold {
            Hold::Held => Ok(()),
            Hold::Cancelled => Err(Stop::Cancelled),
            Hold::Lost => Err(Stop::Lost),
        }
    }

    async fn advance(&mut self, state: &str) -> Result<(), Stop> {
        self.at.stage.clear();
        self.beat().await?;
        if leases::advance(&self.app().database, &self.job, state).await? { Ok(()) } else { Err(Stop::Lost) }
    }

    /// A file; a store that takes its time, or is full, costs no lease.
    async fn put(&mut self, key: &str, bytes: impl Into<Bytes>) -> Result<(), Stop> {
        let (app, key, bytes) = (self.worker.app.clone(), key.to_string(), bytes.into());
        Ok(self.beating(async move { app.store.put(&key, bytes).await }).await??)
    }

    /// From the last checkpoint, or from the start where that is of no use.
    async fn generate(&mut self, files: Files) -> Result<(u32, u32), Stop> {
        let state = self.state().await?;
        match self.generate_from(files.clone(), state.clone()).await {
            // Of another release or checkpoint.
            Err(Stop::Failed { code, .. }) if code == "invalid_input" && state.is_some() => {
                self.warnings.push("restarted".into());
                self.runs.clear();
                self.generate_from(files, None).await
            }
            other => other,
        }
    }

    /// With the frames that had left when it was saved, and no others.
    async fn state(&mut self) -> Result<Option<State>, Stop> {
        let state = self.kept_state().await?;
        self.runs = first(&self.runs, state.as_ref().map_or(0, State::frames));
        if state.is_some() {
            self.bring_frames().await?;
        }
        Ok(state)
    }

    /// None where it is gone, or cannot be read.
    async fn kept_state(&mut self) -> Result<Option<State>, Stop> {
        let Some(key) = self.job.state_key.clone() else { return Ok(None) };
        let app = self.worker.app.clone();
        match self.holding(async move { app.store.get(&key).await }).await? {
            Ok(bytes) => Ok(State::open(Location::file("state", bytes.to_vec())).ok()),
            Err(error) if error.code == "not_found" => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Frames that were made before, into the folder. Their size.
    async fn bring_frames(&mut self) -> Result<(u32, u32), Stop> {
        let (app, folder, id, runs) = (self.worker.app.clone(), self.folder.clone(), self.job.id.clone(), self.runs.clone());
        let bring = async move {
            let mut number = 0;
            for run in runs {
                for _ in 0..run.frames {
                    app.store.get_file(&format!("jobs/{id}/{}/{number:06}.png", run.lease), &frame_path(&folder, number)).await?;
                    number += 1;
                }
            }
            Ok::<_, Failure>(())
        };
        self.holding(bring).await??;
        let first = frame_path(&self.folder, 0);
        if !first.exists() {
            return Ok((0, 0));
        }
        Ok(wan_animate::video::open_image(first.as_path())?.dimensions())
    }

    async fn generate_from(&mut self, files: Files, state: Option<State>) -> Result<(u32, u32), Stop> {
        let (told, mut heard) = mpsc::channel(8);
        let order = Order {
            request: self.request.clone(),
            seed: self.job.seed as u64,
            files,
            state,
            cancel: self.cancel.clone(),
            drain: self.drain.clone(),
            told,
        };
        let engine = self.worker.engine.clone();
        accidents(&self.request, &self.job)?;
        let mut end = tokio::spawn(async move { engine.call(move |engine| generate::generate(engine, order)).await });
        let (mut beats, mut size) = (tokio::time::interval(BEAT), (0, 0));
        loop {
            tokio::select! {
                told = heard.recv() => match told {
                    Some(told) => self.hear(told, &mut size).await?,
                    None => break,
                },
                _ = beats.tick() => {
                    self.beat().await?;
                    self.drain.store(*self.app().stop.borrow(), Ordering::Relaxed);
                }
            }
        }
        match (&mut end).await.ok().flatten() {
            Some(Ok(End::Done)) => Ok(size),
            Some(Ok(End::Drained)) => Err(Stop::Drained),
            Some(Err(error)) => Err(error.into()),
            None => Err(Stop::Retry("the engine's thread panicked".into())),
        }
    }

    async fn hear(&mut self, told: Told, all: &mut (u32, u32)) -> Result<(), Stop> {
        match told {
            Told::Begun { frames, segments, steps, size, fps } => {
                *all = size;
                self.at = Progress {
                    total_frames: frames as i64,
                    segments: segments as i64,
                    steps: steps as i64,
                    fps,
                    ..std::mem::take(&mut self.at)
                };
            }
            Told::Stage(stage) => self.at.stage = stage,
            Told::Step(step) => self.step(&step),
            Told::Warning(warning) => self.warnings.push(warning),
            Told::Frame(png) => self.keep_frame(png).await?,
            Told::Preview(jpeg) => self.keep_preview(jpeg).await?,
            Told::Checkpoint(state, frames) => self.keep_state(state, frames).await?,
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) {
        tracing::debug!(job = self.job.id, "made {step}");
        self.at.stage = "denoising".into();
        (self.at.segment, self.at.step) = (step.segment as i64 + 1, step.step as i64 + 1);
        let done = (step.segment * step.steps + step.step + 1) as f64;
        self.at.progress = 0.99 * done / (step.segments * step.steps) as f64;
        self.at.eta_ms = Some(in_time(step.remaining) - now());
        self.steps_made += 1;
        metrics::histogram!("step_seconds").record(step.elapsed.as_secs_f64());
    }

    /// One that is not there is none.
    async fn keep_preview(&mut self, jpeg: Vec<u8>) -> Result<(), Stop> {
        match self.put(&self.key("preview.jpg"), jpeg).await {
            Err(Stop::Retry(error)) => {
                tracing::warn!("{error}");
                Ok(())
            }
            other => other,
        }
    }

    async fn keep_frame(&mut self, png: Vec<u8>) -> Result<(), Stop> {
        let number = count(&self.runs);
        tokio::fs::write(frame_path(&self.folder, number), &png).await.map_err(Failure::internal)?;
        self.put(&self.key(&format!("{number:06}.png")), png).await?;
        match self.runs.last_mut() {
            Some(run) if run.lease == self.job.lease => run.frames += 1,
            _ => self.runs.push(FrameRun { lease: self.job.lease, frames: 1 }),
        }
        Ok(())
    }

    /// The file first, then the row that tells of it; the state before is then of no use.
    async fn keep_state(&mut self, state: Vec<u8>, frames: usize) -> Result<(), Stop> {
        let key = self.key(&format!("state-{}", uuid::Uuid::now_v7().simple()));
        self.put(&key, state).await?;
        let runs = first(&self.runs, frames);
        match leases::checkpoint(&self.app().database, &self.job, &key, &runs).await {
            Ok(true) => {}
            Ok(false) => return Err(Stop::Lost),
            // The one before stands.
            Err(error) => {
                tracing::warn!("{error}");
                return Ok(());
            }
        }
        if let Some(before) = self.job.state_key.replace(key) {
            self.app().store.delete(&before).await?;
        }
        Ok(())
    }
}

pub fn frame_path(folder: &Path, number: usize) -> PathBuf {
    folder.join("frames").join(format!("{number:06}.png"))
}

/// The first so many frames of what there are.
fn first(runs: &[FrameRun], mut frames: usize) -> Vec<FrameRun> {
    let cut = runs.iter().map(|run| {
        let here = run.frames.min(frames);
        frames -= here;
        FrameRun { frames: here, ..*run }
    });
    cut.filter(|run| run.frames > 0).collect()
}

/// What tests ask for by a prompt, in builds that are made for them.
#[cfg(feature = "accidents")]
fn accidents(request: &JobRequest, job: &Job) -> Result<(), Stop> {
    match request.prompt.as_deref() {
        Some("abort the process") => std::process::abort(),
        Some("lose the device once") if job.failures == 0 => Err(Error::DeviceLost("as a test wants".into()).into()),
        Some("fail five times") if job.failures < 5 => Err(Failure::internal("as a test wants").into()),
        _ => Ok(()),
    }
}

#[cfg(not(feature = "accidents"))]
fn accidents(_: &JobRequest, _: &Job) -> Result<(), Stop> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_a_state_does_not_know_of_are_made_again() {
        let runs = [FrameRun { lease: 1, frames: 16 }, FrameRun { lease: 3, frames: 5 }];
        assert_eq!(first(&runs, 16), runs[..1]);
        assert_eq!(first(&runs, 18), [runs[0], FrameRun { lease: 3, frames: 2 }]);
        assert_eq!(first(&runs, 0), []);
    }
}
