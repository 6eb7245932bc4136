//! What workers do with the table of jobs. Whatever one writes names the lease that it has; where that is no longer the job's, nothing is written.

use crate::clock::now;
use crate::db::{Database, on};
use crate::error::{Failure, Result};
use crate::job::{FrameRun, Job, Output, Progress, as_json};
use crate::queue::{self, Push};

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

/// A sign of life.
pub async fn beat(database: &Database, job: &Job, at: &Progress, runs: &[FrameRun], steps_made: i64) -> Result<Hold> {
    let runs = as_json(runs)?;
    let sql = "UPDATE job SET beat = $3, stage = $4, segment = $5, segments = $6, step = $7, steps = $8, progress = $9, eta_ms = $10, frame_runs = $11,
            total_frames = $12, fps = $13, steps_made = steps_made + $14, seq = seq + 1 WHERE id = $1 AND lease = $2 AND state IN ('preparing', 'running', 'encoding') RETURNING cancel";
    let cancel: Option<i64> = on!(database, pool => {
        let query = sqlx::query_scalar(sql).bind(&job.id).bind(job.lease).bind(now()).bind(&at.stage).bind(at.segment).bind(at.segments);
        let query = query.bind(at.step).bind(at.steps).bind(at.progress).bind(at.eta_ms).bind(runs).bind(at.total_frames).bind(at.fps);
        query.bind(steps_made).fetch_optional(pool).await?
    });
    Ok(match cancel {
        None => Hold::Lost,
        Some(0) => Hold::Held,
        Some(_) => Hold::Cancelled,
    })
}

/// Whether it is the lease of a job that runs.
pub async fn is_held(database: &Database, id: &str, lease: i64) -> Result<bool> {
    let sql = "SELECT COUNT(*) FROM job WHERE id = $1 AND lease = $2 AND state IN ('preparing', 'running', 'encoding')";
    let held: i64 = on!(database, pool => sqlx::query_scalar(sql).bind(id).bind(lease).fetch_one(pool).await?);
    Ok(held > 0)
}

/// The next state of a job that is held.
pub async fn advance(database: &Database, job: &Job, state: &str) -> Result<bool> {
    let now = now();
    let sql = "UPDATE job SET state = $3, beat = $4, history = history || $5, seq = seq + 1 WHERE id = $1 AND lease = $2 AND state IN ('preparing', 'running', 'encoding')";
    let rows = on!(database, pool => {
        let query = sqlx::query(sql).bind(&job.id).bind(job.lease).bind(state).bind(now).bind(format!(",{state}@{now}"));
        query.execute(pool).await?.rows_affected()
    });
    Ok(rows == 1)
}

/// From where another worker goes on: the state's file, and the frames that it says are there. A job that gets on is not one that kills.
pub async fn checkpoint(database: &Database, job: &Job, key: &str, runs: &[FrameRun]) -> Result<bool> {
    let runs = as_json(runs)?;
    let sql = "UPDATE job SET state_key = $3, frame_runs = $4, beat = $5, strikes = 0, seq = seq + 1 WHERE id = $1 AND lease = $2 AND state IN ('preparing', 'running', 'encoding')";
    let rows = on!(database, pool => {
        sqlx::query(sql).bind(&job.id).bind(job.lease).bind(key).bind(runs).bind(now()).execute(pool).await?.rows_affected()
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
    let warnings = as_json(warnings)?;
    on!(database, pool => {
        let mut tx = pool.begin().await?;
        let sql = "UPDATE job SET state = $3, error_code = $4, error = $5, warnings = $6, finished = $7, inference_ms = $8, cost = $9, expires = $10,
                history = history || $11, progress = CASE WHEN $3 = 'completed' THEN 1.0 ELSE progress END, eta_ms = NULL, stage = '', state_key = NULL,
                strikes = CASE WHEN $3 = 'completed' THEN 0 ELSE strikes END, seq = seq + 1
            WHERE id = $1 AND lease = $2 AND state IN ('preparing', 'running', 'encoding') RETURNING *";
        let query = sqlx::query_as(sql).bind(&job.id).bind(job.lease).bind(state).bind(code).bind(message).bind(warnings).bind(now);
        let ended: Option<Job> = query.bind(inference_ms).bind(cost).bind(expires).bind(format!(",{state}@{now}")).fetch_optional(&mut *tx).await?;
        let Some(ended) = ended else { return Ok(false) };
        for Output { id, job_id, n, file, media, flagged, expires } in outputs {
            let sql = "INSERT INTO output (id, job_id, n, seed, format, file, bytes, sha256, width, height, frames, fps, flagged, expires) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
            let query = sqlx::query(sql).bind(id).bind(job_id).bind(n).bind(media.seed).bind(&media.format).bind(file).bind(media.bytes);
            let query = query.bind(&media.sha256).bind(media.width).bind(media.height).bind(media.frames).bind(media.fps);
            query.bind(flagged).bind(expires).execute(&mut *tx).await?;
        }
        announce(&mut *tx, &ended, outputs.len()).await?;
        tx.commit().await?;
        Ok(true)
    })
}

/// The webhooks of a job that has ended: one, or one an output where the surface tells of each.
pub async fn announce(to: &mut impl Push, job: &Job, outputs: usize) -> sqlx::Result<()> {
    let request = job.request().map_err(|error| sqlx::Error::Protocol(error.message))?;
    let Some(url) = request.webhook else { return Ok(()) };
    let calls = if job.surface == "runware" { outputs.max(1) } else { 1 };
    for output in 0..calls {
        to.insert_delivery(&job.id, output, &url).await?;
    }
    Ok(())
}

/// Jobs of one statement.
const WOKEN: i64 = 500;

/// Jobs without a sign of life, and queued ones that no worker was given, get a new task; how many. A second task does no harm. One that only
/// waits for its turn gets them at twice the time each, so that a long queue stays one.
pub async fn wake_stalled(database: &Database, silent_ms: i64) -> Result<usize> {
    let sql = "UPDATE job SET deaths = deaths + (CASE WHEN state = 'queued' THEN 0 ELSE 1 END), strikes = strikes + (CASE WHEN state = 'queued' THEN 0 ELSE 1 END),
            died = CASE WHEN state = 'queued' THEN died ELSE $1 END, run_at = CASE WHEN state = 'queued' THEN 2 * $1 - created ELSE $1 END,
            state = 'queued', lease = lease + 1, seq = seq + 1
        WHERE id IN (SELECT id FROM job WHERE (state IN ('preparing', 'running', 'encoding') AND beat < $2) OR (state = 'queued' AND run_at < $2) ORDER BY id LIMIT $3)
        RETURNING id, priority";
    let now = now();
    on!(database, pool => {
        let mut tx = pool.begin().await?;
        let woken: Vec<(String, i64)> = sqlx::query_as(sql).bind(now).bind(now - silent_ms).bind(WOKEN).fetch_all(&mut *tx).await?;
        tx.push(queue::JOBS, &woken.iter().map(|(id, priority)| (id.as_str(), *priority)).collect::<Vec<_>>(), None).await?;
        tx.commit().await?;
        Ok(woken.len())
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::jobs::{self, NewJob};
    use crate::request::JobRequest;

    async fn database() -> (Database, PathBuf) {
        let file = std::env::temp_dir().join(format!("{}.sqlite", uuid::Uuid::new_v4()));
        (Database::open(&format!("sqlite:{}", file.display())).await.expect("a database"), file)
    }

    async fn waiting_job(database: &Database) -> Job {
        let new = NewJob {
            key_id: "key".into(),
            surface: "native",
            external_id: None,
            idempotency: None,
            request_hash: String::new(),
            request: JobRequest::default(),
            seed: 0,
            warnings: Vec::new(),
        };
        jobs::submit(database, &[new]).await.expect("written").remove(0).expect("new")
    }

    #[tokio::test]
    async fn a_job_that_waits_for_its_turn_is_woken_ever_less_often() {
        let (database, file) = database().await;
        waiting_job(&database).await;
        let mut woken = Vec::new();
        for _ in 0..16 {
            let sql = "UPDATE job SET created = created - 60000, run_at = run_at - 60000";
            on!(&database, pool => sqlx::query(sql).execute(pool).await.map(drop).expect("time goes by"));
            woken.push(wake_stalled(&database, 30_000).await.expect("a look"));
        }
        // At the ages of 1, 3, 7 and 15 minutes.
        assert_eq!(woken, [1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
        std::fs::remove_file(file).expect("it is ours");
    }

    #[tokio::test]
    async fn a_lease_is_held_until_the_next() {
        let (database, file) = database().await;
        let job = waiting_job(&database).await;
        assert!(!is_held(&database, &job.id, job.lease).await.expect("a look"), "it waits");
        let first = claim(&database, &job.id, "task", "one", 0).await.expect("a look").expect("it is free");
        assert!(is_held(&database, &job.id, first.lease).await.expect("a look"));
        assert_eq!(claim(&database, &job.id, "task", "two", 60_000).await.expect_err("its worker lives").code, "held");
        let second = claim(&database, &job.id, "task", "two", -1).await.expect("a look").expect("its worker is dead");
        assert_eq!((second.lease, second.deaths), (first.lease + 1, 1));
        assert!(!is_held(&database, &job.id, first.lease).await.expect("a look"));
        assert!(!advance(&database, &first, "running").await.expect("a look"), "the first writes nothing");
        assert!(advance(&database, &second, "running").await.expect("a look"));
        std::fs::remove_file(file).expect("it is ours");
    }
}
