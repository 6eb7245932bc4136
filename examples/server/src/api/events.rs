//! Progress as server-sent events: the whole job at each change. An event's id is the job's version.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, stream};
use tokio::sync::watch;

use crate::api::auth::own_job;
use crate::app::Shared;
use crate::error::Result;
use crate::job::Job;
use crate::keys::Key;
use crate::queue::stopped;
use crate::view::view;

/// Changes of a job until it is over, or the process ends.
pub struct Changes {
    app: Shared,
    changes: watch::Receiver<Arc<Job>>,
    is_first: bool,
    is_last: bool,
}

impl Changes {
    pub async fn of(app: &Shared, id: &str) -> Result<Self> {
        let changes = app.watch.follow(&app.database, id).await?;
        Ok(Self { app: app.clone(), changes, is_first: true, is_last: false })
    }

    /// As it is, then each change. None after the end.
    pub async fn next(&mut self) -> Option<Arc<Job>> {
        if self.is_last {
            return None;
        }
        if !std::mem::take(&mut self.is_first) {
            tokio::select! {
                changed = self.changes.changed() => changed.ok()?,
                () = stopped(self.app.stop.clone()) => return None,
            }
        }
        let job = self.changes.borrow_and_update().clone();
        self.is_last = job.is_over();
        Some(job)
    }
}

/// The job at each change, until it is over.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/events", params(("id" = String, Path)), responses((status = 200, content_type = "text/event-stream", body = String), (status = 401), (status = 404), (status = 429)))]
pub async fn stream(
    State(app): State<Shared>,
    key: Key,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    own_job(&app, &key, &id).await?;
    let changes = Changes::of(&app, &id).await?;
    let events = stream::unfold(changes, |mut changes| async move {
        let job = changes.next().await?;
        let event = Event::default().id(job.seq.to_string()).event("job");
        let event = match view(&changes.app, &job).await {
            Ok(view) => event.json_data(view).unwrap_or_default(),
            Err(error) => Event::default().event("error").data(error.message),
        };
        Some((Ok(event), changes))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}
