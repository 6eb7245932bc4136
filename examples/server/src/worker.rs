//! Runs jobs: claims one, goes on from its last checkpoint, tells of its progress, and ends it; or gives it back, or leaves it to whom it now
//! belongs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use tokio::sync::{Semaphore, mpsc};
use wan_animate::{Cancel, Error, Location, State, Step};

use crate::app::{App, Shared};
use crate::clock::in_time;
use crate::encode;
use crate::engine::EngineThread;
use crate::error::{Failure, Result};
use crate::examine;
use crate::generate::{self, End, Files, Order, Told};
use crate::inputs;
use crate::jobs::{self, Ending, FrameRun, Hold, Job, Output, Progress};
use crate::queue::{self, Handler};
use crate::request::{Format, JobRequest};
use crate::store::Written;

/// Between two signs of life, and about so long a cancel takes to be seen.
const BEAT: Duration = Duration::from_millis(250);
/// How many times as many deaths a job survives where workers die of others too.
const DOUBT: i64 = 4;
/// Failures of the GPU, the store or the database that a job survives.
const MAX_FAILURES: i64 = 8;

/// Why a job does not go on here.
enum Stop {
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

/// What is thought of a job that workers died of.
enum Verdict {
    Run,
    /// Others lost workers as well, and it is not known yet whether they get on.
    Wait,
    Kills,
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

pub struct Worker {
    app: Shared,
    engine: EngineThread,
    name: String,
}

/// Works until the process is to end.
pub async fn work(app: Shared) -> Result<(), String> {
    let engine = EngineThread::start(app.config.clone()).map_err(|error| error.to_string())?;
    // A worker that cannot work takes no jobs, and one that still loads has none to lose.
    let load = engine.call(|engine| engine.pipeline(&[]).map(drop).map_err(|error| error.to_string()));
    tokio::select! {
        loaded = load => loaded.ok_or("the engine's thread panicked")??,
        () = queue::stopped(app.stop.clone()) => return Ok(()),
    }
    let name = format!("{}-{}", std::process::id(), uuid::Uuid::new_v4().simple());
    let worker = Arc::new(Worker { app: app.clone(), engine, name });
    let signs = tokio::spawn(sign_of_life(worker.clone()));
    let turn = Arc::new(Semaphore::new(1));
    let handler = handler(worker, turn.clone());
    let queue = queue::work(&app.database, queue::JOBS, Duration::from_millis(app.config.heartbeat_ms), 1, app.stop.clone(), handler);
    tokio::pin!(queue);
    let given_back = async {
        queue::stopped(app.stop.clone()).await;
        let _ = turn.acquire().await;
    };
    tokio::select! {
        () = &mut queue => drop(turn.acquire().await),
        // What the queue still has to say about a task that is given back is of no matter.
        () = given_back => drop(tokio::time::timeout(BEAT, &mut queue).await),
    }
    signs.abort();
    Ok(())
}

/// A job is a task of its own: the queue drops what it waits for when its database is away, and the job goes on for as long as its lease holds.
fn handler(worker: Arc<Worker>, turn: Arc<Semaphore>) -> Handler {
    Arc::new(move |id, task| {
        let (worker, turn) = (worker.clone(), turn.clone());
        Box::pin(async move {
            let job = tokio::spawn(async move {
                let _turn = turn.acquire_owned().await;
                worker.run(&id, &task).await
            });
            job.await.map_err(Failure::internal)?
        })
    })
}

/// Tells who works here.
async fn sign_of_life(worker: Arc<Worker>) {
    let adapter =
        worker.engine.call(|engine| engine.device().map(|device| (device.adapter().name.clone(), device.memory_size().unwrap_or(0)))).await;
    let (adapter, memory) = match adapter {
        Some(Ok(found)) => found,
        Some(Err(error)) => {
            tracing::error!("{error}");
            return;
        }
        None => return,
    };
    loop {
        if let Err(error) = crate::workers::seen(&worker.app.database, &worker.name, &adapter, memory as i64).await {
            tracing::warn!("{error}");
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

/// Tries until the database takes it, for ten minutes: what was done is not to be done again because of an outage.
async fn insist<T, F: Future<Output = Result<T>>>(write: impl Fn() -> F) -> Result<T> {
    for _ in 0..600 {
        match write().await {
            Err(error) if error.code == "unavailable" => tokio::time::sleep(Duration::from_secs(1)).await,
            other => return other,
        }
    }
    write().await
}

/// A job under way.
struct Run<'a> {
    worker: &'a Worker,
    job: Job,
    request: JobRequest,
    at: Progress,
    warnings: Vec<String>,
    cancel: Cancel,
    drain: Arc<AtomicBool>,
    folder: PathBuf,
}

impl Drop for Run<'_> {
    /// Whatever ends it, the GPU is free, and the disk.
    fn drop(&mut self) {
        self.cancel.cancel();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Worker {
    async fn run(&self, id: &str, task: &str) -> Result<()> {
        if *self.app.stop.borrow() {
            // Taken in the moment of a stop: to the next.
            return Err(Failure::new(axum::http::StatusCode::SERVICE_UNAVAILABLE, "stopping", "this worker stops"));
        }
        let silent = self.app.config.heartbeat_ms as i64;
        let Some(job) = jobs::claim(&self.app.database, id, task, &self.name, silent).await? else { return Ok(()) };
        tracing::info!(job = id, lease = job.lease, deaths = job.deaths, "claimed");
        match self.verdict(&job).await? {
            Verdict::Run => {}
            Verdict::Wait => return insist(|| jobs::release(&self.app.database, &job, 0, silent)).await.map(drop),
            Verdict::Kills => {
                let message = format!("{} workers died of this job in a row", job.strikes);
                return self.end(&job, Ending::Failed { code: "worker_died".into(), message }, &[]).await;
            }
        }
        let request = job.request()?;
        let folder = self.app.config.data.join("scratch").join(format!("{id}-{}", job.lease));
        let warnings = serde_json::from_str(&job.warnings).unwrap_or_default();
        let at = Progress { frame_runs: job.frame_runs(), total_frames: job.total_frames, fps: job.fps, ..Progress::default() };
        let (cancel, drain) = (Cancel::new(), Arc::default());
        let mut run = Run { worker: self, job, request, at, warnings, cancel, drain, folder };
        let stop = match run.make().await {
            Ok(ending) => return self.end(&run.job, ending, &run.warnings).await,
            Err(stop) => stop,
        };
        self.stop(&run, stop).await
    }

    /// Whether workers die of a job, by how many did since it last got on. Where they are killed from outside, they die of others too, which get
    /// on when they are tried again; a job that kills gets nowhere, nor do its like.
    async fn verdict(&self, job: &Job) -> Result<Verdict> {
        let allowed = self.app.config.max_deaths;
        if job.strikes < allowed {
            return Ok(Verdict::Run);
        }
        let (got_on, open) = jobs::others_that_lost_workers(&self.app.database, job, allowed).await?;
        Ok(match () {
            () if job.strikes >= allowed * DOUBT => Verdict::Kills,
            () if got_on > 0 => Verdict::Run,
            () if open > 0 => Verdict::Wait,
            () => Verdict::Kills,
        })
    }

    async fn stop(&self, run: &Run<'_>, stop: Stop) -> Result<()> {
        let database = &self.app.database;
        match stop {
            Stop::Lost => {
                metrics::counter!("leases_lost_total").increment(1);
                tracing::warn!(job = run.job.id, lease = run.job.lease, "lost to another worker");
                Ok(())
            }
            Stop::Cancelled => self.end(&run.job, Ending::Cancelled, &run.warnings).await,
            Stop::Failed { code, message } => self.end(&run.job, Ending::Failed { code, message }, &run.warnings).await,
            Stop::Drained => {
                tracing::info!(job = run.job.id, "released");
                insist(|| jobs::release(database, &run.job, 0, 0)).await.map(drop)
            }
            Stop::Retry(message) if run.job.failures >= MAX_FAILURES => {
                self.end(&run.job, Ending::Failed { code: "server_error".into(), message }, &run.warnings).await
            }
            Stop::Retry(message) => {
                tracing::warn!(job = run.job.id, "to be tried again: {message}");
                metrics::counter!("retries_total").increment(1);
                let _ = self.engine.call(crate::engine::Engine::reset).await;
                let wait = 500 << run.job.failures.min(7);
                insist(|| jobs::release(database, &run.job, 1, wait)).await.map(drop)
            }
        }
    }

    async fn end(&self, job: &Job, ending: Ending, warnings: &[String]) -> Result<()> {
        let state = match &ending {
            Ending::Completed { .. } => "completed",
            Ending::Failed { code, message } => {
                tracing::warn!(job = job.id, code, "{message}");
                "failed"
            }
            Ending::Cancelled => "cancelled",
        };
        if insist(|| jobs::finish(&self.app.database, job, &ending, warnings)).await? {
            tracing::info!(job = job.id, state, "ended");
            metrics::counter!("jobs_ended_total", "state" => state).increment(1);
            // Frames and states of all leases; the result stays.
            self.app.store.delete_folder(&format!("jobs/{}", job.id), |key| key.contains("/result-")).await?;
        }
        Ok(())
    }
}

impl Run<'_> {
    fn app(&self) -> &App {
        &self.worker.app
    }

    /// Where files of this lease are.
    fn key(&self, name: &str) -> String {
        format!("jobs/{}/{}/{name}", self.job.id, self.job.lease)
    }

    async fn make(&mut self) -> Result<Ending, Stop> {
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
        let made: usize = self.at.frame_runs.iter().map(|run| run.frames).sum();
        let all = self.at.total_frames as usize * self.request.count as usize;
        let size = if all == 0 || made < all { self.generate(files.clone()).await? } else { self.bring_frames().await? };
        self.advance("encoding").await?;
        self.encode(files, size, begun).await
    }

    /// Does something that takes its time, with signs of life meanwhile.
    async fn holding<T: Send + 'static>(&mut self, work: impl Future<Output = T> + Send + 'static) -> Result<T, Stop> {
        let mut work = tokio::spawn(work);
        let mut beats = tokio::time::interval(BEAT);
        loop {
            tokio::select! {
                done = &mut work => return done.map_err(|error| Stop::Retry(error.to_string())),
                _ = beats.tick() => {
                    if let Err(stop) = self.beat().await {
                        work.abort();
                        return Err(stop);
                    }
                    if *self.app().stop.borrow() {
                        work.abort();
                        return Err(Stop::Drained);
                    }
                }
            }
        }
    }

    async fn beat(&mut self) -> Result<(), Stop> {
        let hold = match jobs::beat(&self.app().database, &self.job.id, self.job.lease, &self.at).await {
            Ok(hold) => hold,
            // The lease holds for as long as nobody takes it.
            Err(error) => {
                tracing::warn!("{error}");
                return Ok(());
            }
        };
        self.at.steps_made = 0;
        match hold {
            Hold::Held => Ok(()),
            Hold::Cancelled => Err(Stop::Cancelled),
            Hold::Lost => Err(Stop::Lost),
        }
    }

    async fn advance(&mut self, state: &str) -> Result<(), Stop> {
        self.at.stage.clear();
        self.beat().await?;
        if jobs::advance(&self.app().database, &self.job.id, self.job.lease, state).await? { Ok(()) } else { Err(Stop::Lost) }
    }

    /// From the last checkpoint, or from the start where that is of no use.
    async fn generate(&mut self, files: Files) -> Result<(u32, u32), Stop> {
        let state = self.state().await?;
        match self.generate_from(files.clone(), state.clone()).await {
            // Of another release or checkpoint.
            Err(Stop::Failed { code, .. }) if code == "invalid_input" && state.is_some() => {
                self.warnings.push("restarted".into());
                self.at.frame_runs.clear();
                self.generate_from(files, None).await
            }
            other => other,
        }
    }

    /// With the frames that had left when it was saved, and no others.
    async fn state(&mut self) -> Result<Option<State>, Stop> {
        let Some(key) = self.job.state_key.clone() else {
            self.at.frame_runs.clear();
            return Ok(None);
        };
        let bytes = match self.app().store.get(&key).await {
            Ok(bytes) => bytes,
            Err(error) if error.code == "not_found" => {
                self.at.frame_runs.clear();
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let Ok(state) = State::open(Location::file("state", bytes.to_vec())) else {
            self.at.frame_runs.clear();
            return Ok(None);
        };
        self.at.frame_runs = first(&self.at.frame_runs, state.frames());
        self.bring_frames().await?;
        Ok(Some(state))
    }

    /// Frames that were made before, into the folder. Their size.
    async fn bring_frames(&mut self) -> Result<(u32, u32), Stop> {
        let (app, folder, id, runs) = (self.worker.app.clone(), self.folder.clone(), self.job.id.clone(), self.at.frame_runs.clone());
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
            Told::Preview(jpeg) => {
                // One that is not there is none.
                let _ = self.app().store.put(&self.key("preview.jpg"), jpeg).await;
            }
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
        self.at.eta_ms = Some(in_time(step.remaining) - crate::clock::now());
        self.at.steps_made += 1;
        metrics::histogram!("step_seconds").record(step.elapsed.as_secs_f64());
    }

    async fn keep_frame(&mut self, png: Vec<u8>) -> Result<(), Stop> {
        let number = self.at.frame_runs.iter().map(|run| run.frames).sum();
        tokio::fs::write(frame_path(&self.folder, number), &png).await.map_err(Failure::internal)?;
        self.app().store.put(&self.key(&format!("{number:06}.png")), png).await?;
        match self.at.frame_runs.last_mut() {
            Some(run) if run.lease == self.job.lease => run.frames += 1,
            _ => self.at.frame_runs.push(FrameRun { lease: self.job.lease, frames: 1 }),
        }
        Ok(())
    }

    /// The file first, then the row that tells of it; the state before is then of no use.
    async fn keep_state(&mut self, state: Vec<u8>, frames: usize) -> Result<(), Stop> {
        let key = self.key(&format!("state-{}", uuid::Uuid::now_v7().simple()));
        self.app().store.put(&key, state).await?;
        let runs = first(&self.at.frame_runs, frames);
        match jobs::checkpoint(&self.app().database, &self.job.id, self.job.lease, &key, &runs).await {
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

    async fn encode(&mut self, files: Files, size: (u32, u32), begun: Instant) -> Result<Ending, Stop> {
        let kept = self.request.ttl.unwrap_or(self.app().config.ttl);
        let expires = in_time(Duration::from_secs(kept as u64));
        let mut outputs = Vec::new();
        for n in 0..self.request.count as usize {
            let path = self.folder.join(format!("result-{n}.{}", self.request.format.extension()));
            let frames: Vec<_> = (0..self.at.total_frames as usize)
                .map(|frame| frame_path(&self.folder, n * self.at.total_frames as usize + frame))
                .collect();
            let flagged = self.look(n, &frames).await?;
            self.write(&files, frames, &path).await?;
            let key = self.key(&format!("result-{n}.{}", self.request.format.extension()));
            let (app, to, from) = (self.worker.app.clone(), key.clone(), path.clone());
            let written = self.holding(async move { app.store.put_file(&to, &from).await }).await??;
            if n == 0 {
                self.upload(&path).await?;
            }
            outputs.push(self.output(n, key, size, flagged, &written, expires));
        }
        let cost = self.cost();
        Ok(Ending::Completed { outputs, inference_ms: begun.elapsed().as_millis() as i64, cost, expires })
    }

    async fn write(&mut self, files: &Files, frames: Vec<PathBuf>, path: &Path) -> Result<(), Stop> {
        let (request, files, fps, to) = (self.request.clone(), files.clone(), self.at.fps, path.to_path_buf());
        let encode = tokio::task::spawn_blocking(move || encode::encode(&request, &files, &frames, fps, &to));
        let warnings = self.holding(encode).await?.map_err(|error| Stop::Retry(error.to_string()))??;
        self.warnings.extend(warnings.into_iter().map(String::from));
        Ok(())
    }

    /// Asks the classifier, where that is wanted.
    async fn look(&mut self, n: usize, frames: &[PathBuf]) -> Result<Option<bool>, Stop> {
        if self.request.safety == crate::request::SafetyMode::None {
            return Ok(None);
        }
        let folder = self.folder.join(format!("video-{n}"));
        std::fs::create_dir_all(&folder).map_err(Failure::internal)?;
        for (number, frame) in frames.iter().enumerate() {
            std::fs::copy(frame, folder.join(format!("{number:06}.png"))).map_err(Failure::internal)?;
        }
        let (engine, request, cancel) = (self.worker.engine.clone(), self.request.clone(), self.cancel.clone());
        let looked = self.holding(async move { engine.call(move |engine| engine.flagged(&request, &folder, &cancel)).await }).await?;
        looked.unwrap_or(Ok(None)).map_err(Stop::from)
    }

    /// The result goes to where the client wants it, too. Where that does not work, the job is done all the same.
    async fn upload(&mut self, path: &Path) -> Result<(), Stop> {
        let Some(url) = self.request.upload_to.clone() else { return Ok(()) };
        let (app, path) = (self.worker.app.clone(), path.to_path_buf());
        let kind = Format::content_type(self.request.format.extension()).to_string();
        let upload = async move {
            for attempt in 1..4 {
                let body = tokio::fs::read(&path).await.map_err(Failure::internal)?;
                let headers = [("content-type".to_string(), kind.clone())];
                let sent = app.fetch.send(Method::PUT, &url, &headers, body, Some(Duration::from_secs(300))).await;
                if sent.is_ok_and(|status| (200..300).contains(&status)) {
                    return Ok::<_, Failure>(true);
                }
                tokio::time::sleep(Duration::from_millis(300 * attempt)).await;
            }
            Ok(false)
        };
        if !self.holding(upload).await?? {
            self.warnings.push("upload_failed".into());
        }
        Ok(())
    }

    fn output(&self, n: usize, file: String, size: (u32, u32), flagged: Option<bool>, written: &Written, expires: i64) -> Output {
        Output {
            id: uuid::Uuid::new_v4().to_string(),
            job_id: self.job.id.clone(),
            n: n as i64,
            seed: self.job.seed + n as i64,
            format: self.request.format.extension().into(),
            file,
            bytes: written.bytes as i64,
            sha256: written.sha256.clone(),
            width: size.0.into(),
            height: size.1.into(),
            frames: self.at.total_frames,
            fps: self.at.fps,
            flagged: flagged.map(i64::from),
            expires,
        }
    }

    fn cost(&self) -> Option<f64> {
        let prices = &self.app().config.prices;
        let name = self.request.resolution.as_deref().unwrap_or("480p");
        let seconds = self.at.total_frames as f64 / self.at.fps * f64::from(self.request.count);
        prices.get(name).or_else(|| prices.get("other")).map(|price| (price * seconds * 1e6).round() / 1e6)
    }
}

fn frame_path(folder: &Path, number: usize) -> PathBuf {
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
