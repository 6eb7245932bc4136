//! What nobody needs any more goes away, and what was forgotten is woken.

use std::time::{Duration, Instant};

use crate::app::App;
use crate::clock::now;
use crate::db::on;
use crate::error::Result;
use crate::leases;
use crate::queue;

/// Between two rounds; results are gone so long after their time at the latest.
const EVERY: Duration = Duration::from_secs(10);
/// A job that is silent for so many heartbeats was forgotten by the queue.
const SILENT_HEARTBEATS: u64 = 12;

pub async fn run(app: &App) {
    // Workers were silent while the database was away, and are not dead.
    let mut silence_begins = Instant::now();
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = queue::stopped(app.stop.clone()) => return,
        }
        if let Err(error) = sweep(app, silence_begins).await {
            tracing::warn!("sweep: {error}");
            silence_begins = Instant::now();
        }
    }
}

async fn sweep(app: &App, silence_begins: Instant) -> Result<()> {
    let silent = (app.config.heartbeat_ms * SILENT_HEARTBEATS).max(20_000);
    if silence_begins.elapsed() > Duration::from_millis(silent) {
        let woken = leases::wake_stalled(&app.database, silent as i64).await?;
        if woken > 0 {
            tracing::warn!("{woken} jobs were woken");
        }
    }
    expire_jobs(app).await?;
    expire_uploads(app).await?;
    tidy(app).await?;
    queue::forget_done(&app.database).await
}

async fn expire_jobs(app: &App) -> Result<()> {
    let sql = "SELECT id FROM job WHERE state = 'completed' AND expires < $1 LIMIT 100";
    let over: Vec<String> = on!(&app.database, pool => sqlx::query_scalar(sql).bind(now()).fetch_all(pool).await?);
    for id in over {
        app.store.delete_folder(&format!("jobs/{id}"), |_| false).await?;
        let (now, sql) = (now(), "UPDATE job SET state = 'expired', history = history || $2, seq = seq + 1 WHERE id = $1");
        on!(&app.database, pool => sqlx::query(sql).bind(&id).bind(format!(",expired@{now}")).execute(pool).await.map(drop)?);
    }
    Ok(())
}

/// Those of jobs that are not over stay.
async fn expire_uploads(app: &App) -> Result<()> {
    let sql = "SELECT id, file FROM upload WHERE expires < $1 AND NOT EXISTS (SELECT 1 FROM job WHERE job.state IN ('queued', 'preparing', 'running', 'encoding')
        AND job.request LIKE '%' || upload.id || '%') LIMIT 100";
    let over: Vec<(String, String)> = on!(&app.database, pool => sqlx::query_as(sql).bind(now()).fetch_all(pool).await?);
    for (id, file) in over {
        app.store.delete(&file).await?;
        on!(&app.database, pool => sqlx::query("DELETE FROM upload WHERE id = $1").bind(&id).execute(pool).await.map(drop)?);
    }
    Ok(())
}

/// Scratch folders of workers that died here: of leases that are over.
async fn tidy(app: &App) -> Result<()> {
    let Ok(mut folders) = tokio::fs::read_dir(app.config.data.join("scratch")).await else { return Ok(()) };
    while let Ok(Some(folder)) = folders.next_entry().await {
        let name = folder.file_name();
        let Some((id, lease)) = name.to_str().and_then(|name| name.rsplit_once('-')) else { continue };
        let Ok(lease) = lease.parse() else { continue };
        if !leases::is_held(&app.database, id, lease).await? {
            let _ = tokio::fs::remove_dir_all(folder.path()).await;
        }
    }
    Ok(())
}
