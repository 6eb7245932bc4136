//! Where submissions wait for SQLite, which has one writer at a time: all that wait are written together, with one wait for the disk.

use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use crate::db::Database;
use crate::error::{Failure, Result};
use crate::job::Job;
use crate::jobs::{self, NewJob};

type Answer = oneshot::Sender<Result<Option<Job>>>;

#[derive(Clone, Default)]
pub struct Desk {
    waiting: Arc<Mutex<Vec<(NewJob, Answer)>>>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Desk {
    pub async fn submit(&self, database: &Database, new: NewJob) -> Result<Option<Job>> {
        if !matches!(database, Database::Sqlite(_)) {
            return Ok(jobs::submit(database, &[new]).await?.pop().flatten());
        }
        let (answer, answered) = oneshot::channel();
        self.waiting.lock().map_err(|error| Failure::internal(&error))?.push((new, answer));
        let (desk, database) = (self.clone(), database.clone());
        // A client that goes away does not take the others' with it.
        tokio::spawn(async move {
            let _turn = desk.turn.lock().await;
            desk.write(&database).await;
        });
        answered.await.map_err(Failure::internal)?
    }

    /// Everything that waits, if that is not written already.
    async fn write(&self, database: &Database) {
        let waiting = self.waiting.lock().map(|mut waiting| std::mem::take(&mut *waiting)).unwrap_or_default();
        if waiting.is_empty() {
            return;
        }
        let (all, answers): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        let mut jobs = jobs::submit(database, &all).await.map(Vec::into_iter);
        for answer in answers {
            let _ = answer.send(match &mut jobs {
                Ok(jobs) => Ok(jobs.next().flatten()),
                Err(error) => Err(error.clone()),
            });
        }
    }
}
