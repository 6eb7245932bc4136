//! Takes jobs from the queue, has them run, and ends them; or gives them back, or leaves them to whom they now belong.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::app::Shared;
use crate::engine::{Engine, EngineThread};
use crate::error::{Failure, Result};
use crate::job::Job;
use crate::leases::{self, Ending};
use crate::queue::{self, Handler};
use crate::run::{BEAT, Run, Stop};

/// How many times as many deaths a job survives where workers die of others too.
const DOUBT: i64 = 4;
/// Failures of the GPU, the database or a file that a job survives; while the store is away it waits.
const MAX_FAILURES: i64 = 8;

/// What is thought of a job that workers died of.
enum Verdict {
    Run,
    /// Others lost workers as well, and it is not known yet whether they get on.
    Wait,
    Kills,
}

pub struct Worker {
    pub app: Shared,
    pub engine: EngineThread,
    name: String,
}

/// Works until the process is to end.
pub async fn work(app: Shared) -> Result<(), String> {
    let engine = EngineThread::start(app.config.clone()).map_err(|error| error.to_string())?;
    // A worker that cannot work takes no jobs, and one that still loads has none to lose.
    let load = engine.call(|engine| engine.pipeline(&[], false).map(drop).map_err(|error| error.to_string()));
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

impl Worker {
    async fn run(&self, id: &str, task: &str) -> Result<()> {
        if *self.app.stop.borrow() {
            // Taken in the moment of a stop: to the next.
            return Err(Failure::new(axum::http::StatusCode::SERVICE_UNAVAILABLE, "stopping", "this worker stops"));
        }
        let silent = self.app.config.heartbeat_ms as i64;
        let Some(job) = leases::claim(&self.app.database, id, task, &self.name, silent).await? else { return Ok(()) };
        tracing::info!(job = id, lease = job.lease, deaths = job.deaths, "claimed");
        match self.verdict(&job).await? {
            Verdict::Run => {}
            Verdict::Wait => return insist(|| leases::release(&self.app.database, &job, 0, silent)).await.map(drop),
            Verdict::Kills => {
                let message = format!("{} workers died of this job in a row", job.strikes);
                return self.end(&job, Ending::Failed { code: "worker_died".into(), message }, &[]).await;
            }
        }
        let mut run = Run::new(self, job)?;
        let made = tokio::select! {
            made = run.make() => made,
            () = self.out_of_grace() => Err(Stop::Drained),
        };
        let stop = match made {
            Ok(ending) => return self.end(&run.job, ending, &run.warnings).await,
            Err(Stop::Retry(message)) => run.after_outage(message).await,
            Err(stop) => stop,
        };
        self.stop(&run, stop).await
    }

    /// Once there is no time left for what is under way.
    async fn out_of_grace(&self) {
        queue::stopped(self.app.stop.clone()).await;
        tokio::time::sleep(self.app.config.grace()).await;
    }

    /// Whether workers die of a job, by how many did since it last got on. Where they are killed from outside, they die of others too, which get
    /// on when they are tried again; a job that kills gets nowhere, nor do its like.
    async fn verdict(&self, job: &Job) -> Result<Verdict> {
        let allowed = self.app.config.max_deaths;
        if job.strikes < allowed {
            return Ok(Verdict::Run);
        }
        let (got_on, open) = leases::others_that_lost_workers(&self.app.database, job, allowed).await?;
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
                insist(|| leases::release(database, &run.job, 0, 0)).await.map(drop)
            }
            Stop::Retry(message) if run.job.failures >= MAX_FAILURES => {
                self.end(&run.job, Ending::Failed { code: "server_error".into(), message }, &run.warnings).await
            }
            Stop::Retry(message) => {
                tracing::warn!(job = run.job.id, "to be tried again: {message}");
                metrics::counter!("retries_total").increment(1);
                let _ = self.engine.call(Engine::reset).await;
                let wait = 500 << run.job.failures.min(7);
                insist(|| leases::release(database, &run.job, 1, wait)).await.map(drop)
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
        if insist(|| leases::finish(&self.app.database, job, &ending, warnings)).await? {
            tracing::info!(job = job.id, state, "ended");
            metrics::counter!("jobs_ended_total", "state" => state).increment(1);
            // Frames and states of all leases; the result stays.
            self.app.store.delete_folder(&format!("jobs/{}", job.id), |key| key.contains("/result-")).await?;
        }
        Ok(())
    }
}
