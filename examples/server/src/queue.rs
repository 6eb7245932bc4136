//! The queue: apalis hands out tasks that say no more than "look at job X"; what is to be done is in the row. Claiming, waking, order and the
//! detection of dead workers are apalis'; fencing and the count of deaths are the row's.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use apalis::layers::WorkerBuilderExt;
use apalis::prelude::*;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::clock::now;
use crate::db::Database;
use crate::error::{Failure, Result};

/// Jobs to run.
pub const JOBS: &str = "jobs";
/// Webhooks to call.
pub const DELIVERIES: &str = "deliveries";

/// What a task says.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Look {
    id: String,
}

/// The queue's half of a transaction.
pub trait Push {
    /// A task for each that has one of these ids, with its priority; not before `run_at`, in milliseconds.
    fn push(&mut self, queue: &str, ids: &[(&str, i64)], run_at: Option<i64>) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// A webhook that is to be called with output `output` of a job.
    fn insert_delivery(&mut self, job_id: &str, output: usize, url: &str) -> impl Future<Output = sqlx::Result<String>> + Send;
}

fn task(id: &str, priority: i64, run_at: Option<i64>) -> std::result::Result<Task<Vec<u8>>, serde_json::Error> {
    // How often is the row's affair.
    let task = TaskBuilder::new(serde_json::to_vec(&Look { id: id.into() })?).max_attempts(1_000_000).priority(priority as usize);
    Ok(match run_at {
        Some(ms) => task.run_at_time(UNIX_EPOCH + Duration::from_millis(ms as u64 + 999)),
        None => task,
    }
    .build())
}

fn protocol(error: impl std::fmt::Display) -> sqlx::Error {
    sqlx::Error::Protocol(error.to_string())
}

/// The two connections differ in their type alone, and in how they take tasks.
macro_rules! push {
    ($connection:ty, |$to:ident, $queue:ident, $tasks:ident| $push:expr) => {
        impl Push for $connection {
            async fn push(&mut self, $queue: &str, ids: &[(&str, i64)], run_at: Option<i64>) -> sqlx::Result<()> {
                let $tasks =
                    ids.iter().map(|(id, priority)| task(id, *priority, run_at).map_err(protocol)).collect::<sqlx::Result<Vec<_>>>()?;
                let $to = self;
                $push.await.map_err(protocol)
            }

            async fn insert_delivery(&mut self, job_id: &str, output: usize, url: &str) -> sqlx::Result<String> {
                let id = format!("msg_{}", uuid::Uuid::now_v7().simple());
                let sql = "INSERT INTO delivery (id, job_id, output, url, state, created) VALUES ($1, $2, $3, $4, 'waiting', $5)";
                sqlx::query(sql).bind(&id).bind(job_id).bind(output as i64).bind(url).bind(now()).execute(&mut *self).await?;
                self.push(DELIVERIES, &[(&id, 0)], None).await?;
                Ok(id)
            }
        }
    };
}

push!(sqlx::SqliteConnection, |to, queue, tasks| apalis_sqlite::queries::push_tasks(to, queue, &tasks));
#[cfg(feature = "postgres")]
push!(sqlx::PgConnection, |to, queue, tasks| apalis_postgres::queries::push_tasks(to, queue, tasks));

/// What is done with a task: the id that it says, and the task's own.
pub type Handler = Arc<dyn Fn(String, String) -> BoxFuture<'static, Result<()>> + Send + Sync>;

async fn handle(look: Look, task: TaskId, handler: Data<Handler>) -> std::result::Result<(), BoxDynError> {
    let done = AssertUnwindSafe(handler(look.id, task.to_string())).catch_unwind().await;
    let done = done.unwrap_or_else(|_| Err(Failure::internal("a task panicked")));
    if done.is_err() {
        // The queue gives the task out again at once.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(done?)
}

/// Takes tasks until `stop`, `concurrency` at a time. A worker that fails, because its database was away, is made anew.
pub async fn work(
    database: &Database,
    queue: &'static str,
    heartbeat: Duration,
    concurrency: usize,
    stop: watch::Receiver<bool>,
    handler: Handler,
) {
    while !*stop.borrow() {
        // A name of its own each time: the heartbeats of a new worker would keep a dead one's locks alive.
        let name = format!("{queue}-{}-{}", std::process::id(), uuid::Uuid::new_v4().simple());
        if let Err(error) = run(database, queue, &name, heartbeat, concurrency, stop.clone(), handler.clone()).await {
            tracing::error!("{queue}: {error}; starting again");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Until a stop is wanted.
pub async fn stopped(mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        if stop.changed().await.is_err() {
            return;
        }
    }
}

async fn run(
    database: &Database,
    queue: &'static str,
    name: &str,
    heartbeat: Duration,
    concurrency: usize,
    stop: watch::Receiver<bool>,
    handler: Handler,
) -> std::result::Result<(), BoxDynError> {
    let poll = Strategy::new().interval(Duration::from_millis(100));
    let signal = async move {
        stopped(stop).await;
        Ok::<(), WorkerError>(())
    };
    match database {
        Database::Sqlite(pool) => {
            let config = apalis_sqlite::Config::default().queue(queue).batch_size(1).heartbeat_interval(heartbeat).missed_heartbeats(3);
            let backend = apalis_sqlite::SqliteStorage::<Look>::new(pool).with_config(config).poll_with_strategy(poll);
            let worker = WorkerBuilder::new(name).backend(backend).data(handler).concurrency(concurrency).build(handle);
            worker.run_until(signal).await?;
        }
        #[cfg(feature = "postgres")]
        Database::Postgres(pool) => {
            let config = apalis_postgres::Config::default().queue(queue).batch_size(1).heartbeat_interval(heartbeat).missed_heartbeats(3);
            let backend = apalis_postgres::PostgresStorage::<Look>::new(pool).with_config(config).poll_with_strategy(poll);
            let worker = WorkerBuilder::new(name).backend(backend).data(handler).concurrency(concurrency).build(handle);
            worker.run_until(signal).await?;
        }
    }
    Ok(())
}

/// Tasks that are done, of which the queue keeps a row each: the jobs themselves say more.
pub async fn forget_done(database: &Database) -> Result<()> {
    match database {
        Database::Sqlite(pool) => sqlx::query("DELETE FROM Jobs WHERE status = 'Done'").execute(pool).await.map(drop)?,
        #[cfg(feature = "postgres")]
        Database::Postgres(pool) => sqlx::query("DELETE FROM apalis.jobs WHERE status = 'Done'").execute(pool).await.map(drop)?,
    }
    Ok(())
}
