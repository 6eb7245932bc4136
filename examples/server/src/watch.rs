//! Who waits for a job is told of every change: one look at the table for all of a process, four times a second while anybody waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use crate::db::Database;
use crate::error::{Failure, Result};
use crate::job::Job;
use crate::jobs;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

#[derive(Default)]
pub struct Watch {
    waited_for: Mutex<HashMap<String, watch::Sender<Arc<Job>>>>,
}

impl Watch {
    /// The job as it is, and then as it changes.
    pub async fn follow(&self, database: &Database, id: &str) -> Result<watch::Receiver<Arc<Job>>> {
        let job = jobs::get(database, id).await?.ok_or_else(|| Failure::not_found("job"))?;
        let mut waited_for = self.waited_for.lock().map_err(Failure::internal)?;
        let sender = waited_for.entry(id.into()).or_insert_with(|| watch::channel(Arc::new(job.clone())).0);
        sender.send_if_modified(|known| renew(known, &job));
        Ok(sender.subscribe())
    }

    /// Waits for the end of a job, or for so long, or until the process is to end.
    pub async fn wait(&self, database: &Database, stop: &watch::Receiver<bool>, id: &str, time: Duration) -> Result<Arc<Job>> {
        let mut changes = self.follow(database, id).await?;
        let ended = changes.wait_for(|job| job.is_over() || *stop.borrow());
        // What it is by then, whichever came first.
        let _ = tokio::time::timeout(time, ended).await.map(drop);
        let job = changes.borrow().clone();
        Ok(job)
    }

    /// Looks until the process ends.
    pub async fn run(&self, database: &Database, stop: watch::Receiver<bool>) {
        let mut every = tokio::time::interval(LOOK);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !*stop.borrow() {
            every.tick().await;
            let ids = self.ids();
            if ids.is_empty() {
                continue;
            }
            match jobs::get_all(database, &ids).await {
                Ok(found) => self.tell(&found),
                Err(error) => tracing::warn!("watch: {error}"),
            }
        }
    }

    /// Of the jobs that somebody waits for; the others are forgotten.
    fn ids(&self) -> Vec<String> {
        let Ok(mut waited_for) = self.waited_for.lock() else { return Vec::new() };
        waited_for.retain(|_, sender| sender.receiver_count() > 0);
        waited_for.keys().cloned().collect()
    }

    fn tell(&self, found: &[Job]) {
        let Ok(waited_for) = self.waited_for.lock() else { return };
        for job in found {
            if let Some(sender) = waited_for.get(&job.id) {
                sender.send_if_modified(|known| renew(known, job));
            }
        }
    }
}

fn renew(known: &mut Arc<Job>, job: &Job) -> bool {
    let newer = job.seq > known.seq;
    if newer {
        *known = Arc::new(job.clone());
    }
    newer
}
