//! The table of jobs, which is the truth: every statement on it. What a worker writes names the lease that it has; where that is no longer
//! the job's, nothing is written.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sqlx::QueryBuilder;

use crate::clock::now;
use crate::db::{Database, on};
use crate::error::{Failure, Result};
use crate::queue::{self, Push};
use crate::request::JobRequest;

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Job {
    pub id: String,
    pub key_id: String,
    pub surface: String,
    pub external_id: Option<String>,
    pub request_hash: String,
    pub request: String,
    pub state: String,
    pub stage: String,
    /// STATE@MS, with commas between.
    pub history: String,
    pub segment: i64,
    pub segments: i64,
    pub step: i64,
    pub steps: i64,
    pub progress: f64,
    pub eta_ms: Option<i64>,
    pub priority: i64,
    pub lease: i64,
    /// Workers that died of it.
    pub deaths: i64,
    /// Those since its last checkpoint.
    pub strikes: i64,
    pub failures: i64,
    pub cancel: i64,
    pub seed: i64,
    pub error_code: Option<String>,
    pub error: Option<String>,
    pub warnings: String,
    pub state_key: Option<String>,
    pub frame_runs: String,
    pub total_frames: i64,
    pub fps: f64,
    pub created: i64,
    pub started: Option<i64>,
    pub finished: Option<i64>,
    pub inference_ms: i64,
    pub steps_made: i64,
    pub cost: Option<f64>,
    pub expires: Option<i64>,
    pub seq: i64,
}

impl Job {
    pub fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "completed" | "failed" | "cancelled" | "expired")
    }

    pub fn request(&self) -> Result<JobRequest> {
        serde_json::from_str(&self.request).map_err(Failure::internal)
    }

    pub fn frame_runs(&self) -> Vec<FrameRun> {
        serde_json::from_str(&self.frame_runs).unwrap_or_default()
    }
}

/// Frames that were stored under a lease, in order.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct FrameRun {
    pub lease: i64,
    pub frames: usize,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Output {
    pub id: String,
    pub job_id: String,
    pub n: i64,
    pub seed: i64,
    pub format: String,
    pub file: String,
    pub bytes: i64,
    pub sha256: String,
    pub width: i64,
    pub height: i64,
    pub frames: i64,
    pub fps: f64,
    pub flagged: Option<i64>,
    pub expires: i64,
}

/// What makes two submissions the same.
#[derive(Clone)]
pub struct Again {
    pub key_id: String,
    pub idempotency: Option<String>,
    pub request_hash: String,
}

/// A job that is to be.
pub struct NewJob {
    pub key_id: String,
    pub surface: &'static str,
    pub external_id: Option<String>,
    pub idempotency: Option<String>,
    pub request_hash: String,
    pub request: JobRequest,
    pub seed: i64,
    pub warnings: Vec<String>,
}

/// Jobs of one statement; each has 13 values, of which SQLite takes 32766.
const ROWS: usize = 500;

/// The rows and the queue's tasks, or nothing. None for one that was submitted before.
pub async fn submit(database: &Database, all: &[NewJob]) -> Result<Vec<Option<Job>>> {
    let rows = all.iter().map(|new| Ok((uuid::Uuid::now_v7().to_string(), new, as_json(&new.request)?, as_json(&new.warnings)?)));
    let rows = rows.collect::<Result<Vec<_>>>()?;
    let mut written = HashMap::new();
    on!(database, pool => {
        let mut tx = pool.begin().await?;
        for rows in rows.chunks(ROWS) {
            let now = now();
            let mut query = QueryBuilder::new(
                "INSERT INTO job (id, key_id, surface, external_id, idempotency, request_hash, request, state, history, priority, seed, created, warnings, run_at) ",
            );
            query.push_values(rows, |mut row, (id, new, request, warnings)| {
                row.push_bind(id).push_bind(&new.key_id).push_bind(new.surface).push_bind(&new.external_id).push_bind(&new.idempotency);
                row.push_bind(&new.request_hash).push_bind(request).push("'queued'").push_bind(format!("queued@{now}"));
                row.push_bind(new.request.priority).push_bind(new.seed).push_bind(now).push_bind(warnings).push_bind(now);
            });
            query.push(" ON CONFLICT (key_id, idempotency) DO NOTHING RETURNING *");
            let jobs: Vec<Job> = query.build_query_as().persistent(false).fetch_all(&mut *tx).await?;
            tx.push(queue::JOBS, &jobs.iter().map(|job| (job.id.as_str(), job.priority)).collect::<Vec<_>>(), None).await?;
            written.extend(jobs.into_iter().map(|job| (job.id.clone(), job)));
        }
        tx.commit().await?;
    });
    Ok(rows.iter().map(|(id, ..)| written.remove(id)).collect())
}

fn as_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(Failure::internal)
}

/// A second submission of the same is the first one's job; of another, a conflict.
pub async fn earlier(database: &Database, new: &Again) -> Result<Job> {
    let sql = "SELECT * FROM job WHERE key_id = $1 AND idempotency = $2";
    let job: Job = on!(database, pool => sqlx::query_as(sql).bind(&new.key_id).bind(&new.idempotency).fetch_one(pool).await?);
    if job.request_hash == new.request_hash {
        return Ok(job);
    }
    let message = format!("job {} was submitted under the same key with another request", job.id);
    Err(Failure::new(axum::http::StatusCode::CONFLICT, "conflict", message))
}

pub async fn get(database: &Database, id: &str) -> Result<Option<Job>> {
    Ok(on!(database, pool => sqlx::query_as("SELECT * FROM job WHERE id = $1").bind(id).fetch_optional(pool).await?))
}

pub async fn get_all(database: &Database, ids: &[String]) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for ids in ids.chunks(200) {
        on!(database, pool => {
            let mut query = QueryBuilder::new("SELECT * FROM job WHERE id IN (");
            let mut list = query.separated(", ");
            ids.iter().for_each(|id| {
                list.push_bind(id);
            });
            query.push(")");
            jobs.extend(query.build_query_as::<Job>().fetch_all(pool).await?);
        });
    }
    Ok(jobs)
}

pub async fn by_external(database: &Database, key_id: &str, external_id: &str) -> Result<Option<Job>> {
    let sql = "SELECT * FROM job WHERE key_id = $1 AND external_id = $2 ORDER BY created LIMIT 1";
    Ok(on!(database, pool => sqlx::query_as(sql).bind(key_id).bind(external_id).fetch_optional(pool).await?))
}

/// Newest first, those before job `after`.
pub async fn list(database: &Database, key_id: &str, state: Option<&str>, after: Option<&str>, limit: i64) -> Result<Vec<Job>> {
    let sql = "SELECT * FROM job WHERE key_id = $1 AND ($2 = '' OR state = $2) AND ($3 = '' OR id < $3) ORDER BY id DESC LIMIT $4";
    let (state, after) = (state.unwrap_or(""), after.unwrap_or(""));
    Ok(on!(database, pool => sqlx::query_as(sql).bind(key_id).bind(state).bind(after).bind(limit).fetch_all(pool).await?))
}

pub async fn queued(database: &Database, key_id: &str) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM job WHERE key_id = $1 AND state = 'queued'";
    Ok(on!(database, pool => sqlx::query_scalar(sql).bind(key_id).fetch_one(pool).await?))
}

/// How many are before this one.
pub async fn ahead(database: &Database, job: &Job) -> Result<i64> {
    // Two counts, each of which the index answers by itself.
    let sql = "SELECT (SELECT COUNT(*) FROM job WHERE state = 'queued' AND priority > $1) + (SELECT COUNT(*) FROM job WHERE state = 'queued' AND priority = $1 AND id < $2)";
    Ok(on!(database, pool => sqlx::query_scalar(sql).bind(job.priority).bind(&job.id).fetch_one(pool).await?))
}

pub async fn outputs(database: &Database, job_id: &str) -> Result<Vec<Output>> {
    let sql = "SELECT * FROM output WHERE job_id = $1 ORDER BY n";
    Ok(on!(database, pool => sqlx::query_as(sql).bind(job_id).fetch_all(pool).await?))
}

pub async fn output(database: &Database, id: &str) -> Result<Option<Output>> {
    Ok(on!(database, pool => sqlx::query_as("SELECT * FROM output WHERE id = $1").bind(id).fetch_optional(pool).await?))
}

/// A queued job is over at once; one that runs, when its worker sees it.
pub async fn cancel(database: &Database, id: &str) -> Result<()> {
    let now = now();
    on!(database, pool => {
        let mut tx = pool.begin().await?;
        let sql = "UPDATE job SET state = 'cancelled', cancel = 1, finished = $2, history = history || $3, seq = seq + 1 WHERE id = $1 AND state = 'queued' RETURNING *";
        let ended: Option<Job> = sqlx::query_as(sql).bind(id).bind(now).bind(format!(",cancelled@{now}")).fetch_optional(&mut *tx).await?;
        match ended {
            Some(job) => announce(&mut *tx, &job, 0).await?,
            None => {
                let sql = "UPDATE job SET cancel = 1, seq = seq + 1 WHERE id = $1 AND state IN ('preparing', 'running', 'encoding')";
                sqlx::query(sql).bind(id).execute(&mut *tx).await?;
            }
        }
        tx.commit().await?;
    });
    Ok(())
}

/// Takes a job for a worker. A job that runs is taken only with the task that its worker had: the queue gives that to another when the worker is
/// dead, and a second task of the same job is of no use. Where the worker gave a sign of life within `silent` milliseconds, the queue is wrong,
/// as it may be after an outage: it is to ask again.
pub async fn claim(database: &Database, id: &str, task: &str, worker: &str, silent: i64) -> Result<Option<Job>> {
    let now = now();
    let sql = "UPDATE job SET deaths = deaths + (CASE WHEN state = 'queued' THEN 0 ELSE 1 END), strikes = strikes + (CASE WHEN state = 'queued' THEN 0 ELSE 1 END),
            died = CASE WHEN state = 'queued' THEN died ELSE $4 END, lease = lease + 1, state = 'preparing', stage = '', task = $2,
            worker = $3, started = COALESCE(started, $4), beat = $4, history = history || $5, seq = seq + 1
        WHERE id = $1 AND (state = 'queued' OR (state IN ('preparing', 'running', 'encoding') AND task = $2 AND beat < $6)) RETURNING *";
    let history = format!(",preparing@{now}");
    let claimed: Option<Job> = on!(database, pool => {
        let query = sqlx::query_as(sql).bind(id).bind(task).bind(worker).bind(now).bind(history);
        query.bind(now - silent).fetch_optional(pool).await?
    });
    if claimed.is_some() {
        return Ok(claimed);
    }
    let sql = "SELECT COUNT(*) FROM job WHERE id = $1 AND state IN ('preparing', 'running', 'encoding') AND task = $2";
    let held: i64 = on!(database, pool => sqlx::query_scalar(sql).bind(id).bind(task).fetch_one(pool).await?);
    if held > 0 {
        return Err(Failure::new(axum::http::StatusCode::CONFLICT, "held", format!("job {id} is held by a worker that lives")));
    }
    Ok(None)
}

/// Other jobs that workers died of since one began: how many got on afterwards, and of how many that is open, as they have fewer than `most` strikes.
pub async fn others_that_lost_workers(database: &Database, job: &Job, most: i64) -> Result<(i64, i64)> {
    let sql = "SELECT COUNT(CASE WHEN strikes = 0 THEN 1 END),
            COUNT(CASE WHEN strikes > 0 AND strikes < $3 AND state IN ('queued', 'preparing', 'running', 'encoding') THEN 1 END)
        FROM job WHERE id <> $1 AND died >= $2";
    Ok(on!(database, pool => sqlx::query_as(sql).bind(&job.id).bind(job.started).bind(most).fetch_one(pool).await?))
}

/// Whether someone else has the job now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    Held,
    Cancelled,
    Lost,
}

/// What a worker tells of its job.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    pub stage: String,
    pub segment: i64,
    pub segments: i64,
    pub step: i64,
    pub steps: i64,
    pub progress: f64,
    pub eta_ms: Option<i64>,
    pub frame_runs: Vec<FrameRun>,
    pub total_frames: i64,
    pub fps: f64,
    pub steps_made: i64,
}

/// A sign of life.
pub async fn beat(database: &Database, id: &str, lease: i64, at: &Progress) -> Result<Hold> {
    let runs = serde_json::to_string(&at.frame_runs).map_err(Failure::internal)?;
    let sql = "UPDATE job SET beat = $3, stage = $4, segment = $5, segments = $6, step = $7, steps = $8, progress = $9, eta_ms = $10, frame_runs = $11,
            total_frames = $12, fps = $13, steps_made = steps_made + $14, seq = seq + 1 WHERE id = $1 AND lease = $2 AND state IN ('preparing', 'running', 'encoding') RETURNING cancel";
    let cancel: Option<i64> = on!(database, pool => {
        let query = sqlx::query_scalar(sql).bind(id).bind(lease).bind(now()).bind(&at.stage).bind(at.segment).bind(at.segments);
        let query = query.bind(at.step).bind(at.steps).bind(at.progress).bind(at.eta_ms).bind(runs).bind(at.total_frames).bind(at.fps);
        query.bind(at.steps_made).fetch_optional(pool).await?
    });
    Ok(match cancel {
        None => Hold::Lost,
        Some(0) => Hold::Held,
        Some(_) => Hold::Cancelled,
    })
}

/// The next state of a job that is held.
pub async fn advance(database: &Database, id: &str, lease: i64, state: &str) -> Result<bool> {
    let now = now();
    let sql = "UPDATE job SET state = $3, beat = $4, history = history || $5, seq = seq + 1 WHERE id = $1 AND lease = $2 AND state IN ('preparing', 'running', 'encoding')";
    let rows = on!(database, pool => {
        sqlx::query(sql).bind(id).bind(lease).bind(state).bind(now).bind(format!(",{state}@{now}")).execute(pool).await?.rows_affected()
    });
    Ok(rows == 1)
}

/// From where another worker goes on: the state's file, and the frames that it says are there. A job that gets on is not one that kills.
pub async fn checkpoint(database: &Database, id: &str, lease: i64, key: &str, runs: &[FrameRun]) -> Result<bool> {
    let runs = serde_json::to_string(runs).map_err(Failure::internal)?;
    let sql = "UPDATE job SET state_key = $3, frame_runs = $4, beat = $5, strikes = 0, seq = seq + 1 WHERE id = $1 AND lease = $2 AND state IN ('preparing', 'running', 'encoding')";
    let rows = on!(database, pool => {
        sqlx::query(sql).bind(id).bind(lease).bind(key).bind(runs).bind(now()).execute(pool).await?.rows_affected()
    });
    Ok(rows == 1)
}

/// Gives a job back to the queue, in a transaction with its new task: at a planned stop, or `wait` milliseconds after a failure that may pass.
pub async fn release(database: &Database, job: &Job, failures: i64, wait: i64) -> Result<bool> {
    let now = now();
    on!(database, pool => {
        let mut tx = pool.begin().await?;
        let sql = "UPDATE job SET state = 'queued', failures = failures + $3, run_at = $4, history = history || $5, seq = seq + 1
            WHERE id = $1 AND lease = $2 AND state IN ('preparing', 'running', 'encoding')";
        let query = sqlx::query(sql).bind(&job.id).bind(job.lease).bind(failures).bind(now + wait).bind(format!(",queued@{now}"));
        let held = query.execute(&mut *tx).await?.rows_affected() == 1;
        if held {
            tx.push(queue::JOBS, &[(&job.id, job.priority)], (wait > 0).then_some(now + wait)).await?;
        }
        tx.commit().await?;
        Ok(held)
    })
}

/// How a job ended.
pub enum Ending {
    Completed { outputs: Vec<Output>, inference_ms: i64, cost: Option<f64>, expires: i64 },
    Failed { code: String, message: String },
    Cancelled,
}

/// The end, its outputs and its announcements, or nothing.
pub async fn finish(database: &Database, job: &Job, ending: &Ending, warnings: &[String]) -> Result<bool> {
    let now = now();
    let (state, code, message) = match ending {
        Ending::Completed { .. } => ("completed", None, None),
        Ending::Failed { code, message } => ("failed", Some(code), Some(message)),
        Ending::Cancelled => ("cancelled", None, None),
    };
    let (outputs, inference_ms, cost, expires) = match ending {
        Ending::Completed { outputs, inference_ms, cost, expires } => (outputs.as_slice(), *inference_ms, *cost, Some(*expires)),
        _ => (&[][..], 0, None, None),
    };
    let warnings = serde_json::to_string(warnings).map_err(Failure::internal)?;
    on!(database, pool => {
        let mut tx = pool.begin().await?;
        let sql = "UPDATE job SET state = $3, error_code = $4, error = $5, warnings = $6, finished = $7, inference_ms = $8, cost = $9, expires = $10,
                history = history || $11, progress = CASE WHEN $3 = 'completed' THEN 1.0 ELSE progress END, eta_ms = NULL, stage = '', state_key = NULL,
                strikes = CASE WHEN $3 = 'completed' THEN 0 ELSE strikes END, seq = seq + 1
            WHERE id = $1 AND lease = $2 AND state IN ('preparing', 'running', 'encoding') RETURNING *";
        let query = sqlx::query_as(sql).bind(&job.id).bind(job.lease).bind(state).bind(code).bind(message).bind(warnings).bind(now);
        let ended: Option<Job> = query.bind(inference_ms).bind(cost).bind(expires).bind(format!(",{state}@{now}")).fetch_optional(&mut *tx).await?;
        let Some(ended) = ended else { return Ok(false) };
        for output in outputs {
            let sql = "INSERT INTO output (id, job_id, n, seed, format, file, bytes, sha256, width, height, frames, fps, flagged, expires) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
            let query = sqlx::query(sql).bind(&output.id).bind(&output.job_id).bind(output.n).bind(output.seed).bind(&output.format).bind(&output.file);
            let query = query.bind(output.bytes).bind(&output.sha256).bind(output.width).bind(output.height).bind(output.frames).bind(output.fps);
            query.bind(output.flagged).bind(output.expires).execute(&mut *tx).await?;
        }
        announce(&mut *tx, &ended, outputs.len()).await?;
        tx.commit().await?;
        Ok(true)
    })
}

/// The webhooks of a job that has ended: one, or one an output where the surface tells of each.
async fn announce(to: &mut impl Push, job: &Job, outputs: usize) -> sqlx::Result<()> {
    let request = job.request().map_err(|error| sqlx::Error::Protocol(error.message))?;
    let Some(url) = request.webhook else { return Ok(()) };
    let calls = if job.surface == "runware" { outputs.max(1) } else { 1 };
    for output in 0..calls {
        to.insert_delivery(&job.id, output, &url).await?;
    }
    Ok(())
}

/// Jobs without a sign of life, and queued ones that no worker was given: they get a new task. A second one does no harm.
pub async fn wake_stalled(database: &Database, silent_ms: i64) -> Result<u64> {
    let before = now() - silent_ms;
    let sql = "SELECT * FROM job WHERE (state IN ('preparing', 'running', 'encoding') AND beat < $1) OR (state = 'queued' AND run_at < $1)";
    let stalled: Vec<Job> = on!(database, pool => sqlx::query_as(sql).bind(before).fetch_all(pool).await?);
    let mut woken = 0;
    for job in &stalled {
        on!(database, pool => {
            let mut tx = pool.begin().await?;
            let sql = "UPDATE job SET deaths = deaths + (CASE WHEN state = 'queued' THEN 0 ELSE 1 END), strikes = strikes + (CASE WHEN state = 'queued' THEN 0 ELSE 1 END),
                died = CASE WHEN state = 'queued' THEN died ELSE $3 END, state = 'queued', lease = lease + 1, run_at = $3, seq = seq + 1 WHERE id = $1 AND seq = $2";
            let rows = sqlx::query(sql).bind(&job.id).bind(job.seq).bind(now()).execute(&mut *tx).await?.rows_affected();
            if rows == 1 {
                tx.push(queue::JOBS, &[(&job.id, job.priority)], None).await?;
                woken += 1;
            }
            tx.commit().await?;
        });
    }
    Ok(woken)
}

/// The results' time is over now; the sweeper removes them.
pub async fn expire(database: &Database, id: &str) -> Result<()> {
    let now = now();
    on!(database, pool => {
        sqlx::query("UPDATE job SET expires = $2, seq = seq + 1 WHERE id = $1").bind(id).bind(now).execute(pool).await?;
        sqlx::query("UPDATE output SET expires = $2 WHERE job_id = $1").bind(id).bind(now).execute(pool).await?;
    });
    Ok(())
}

/// How many jobs are in each state, and since when the oldest waits.
pub async fn counts(database: &Database) -> Result<Vec<(String, i64, i64)>> {
    let sql = "SELECT state, COUNT(*), MIN(created) FROM job GROUP BY state";
    Ok(on!(database, pool => sqlx::query_as(sql).fetch_all(pool).await?))
}

/// Forgets a job, and says which files it had.
pub async fn delete(database: &Database, id: &str) -> Result<()> {
    on!(database, pool => {
        let mut tx = pool.begin().await?;
        sqlx::query("DELETE FROM output WHERE job_id = $1").bind(id).execute(&mut *tx).await?;
        sqlx::query("DELETE FROM delivery WHERE job_id = $1").bind(id).execute(&mut *tx).await?;
        sqlx::query("DELETE FROM job WHERE id = $1").bind(id).execute(&mut *tx).await?;
        tx.commit().await?;
    });
    Ok(())
}
