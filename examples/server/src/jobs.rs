//! What servers do with the table of jobs, which is the truth. What workers do is in `leases`.

use std::collections::HashMap;

use sqlx::QueryBuilder;

use crate::clock::now;
use crate::db::{Database, on};
use crate::error::{Failure, Result};
use crate::job::{Job, Output, as_json};
use crate::leases::announce;
use crate::queue::{self, Push};
use crate::request::JobRequest;

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
