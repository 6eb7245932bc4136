//! From a surface's request to a job.

use axum::http::StatusCode;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::error::{Failure, Result};
use crate::inputs;
use crate::job::Job;
use crate::jobs::{self, Again, NewJob};
use crate::keys::Key;
use crate::request::JobRequest;
use crate::store::hex;

/// What a surface makes of its request.
pub struct Submission {
    pub surface: &'static str,
    /// What the client calls it.
    pub external_id: Option<String>,
    /// A second submission under the same is the same job.
    pub idempotency: Option<String>,
    pub request: JobRequest,
    /// What is not as it was asked for.
    pub warnings: Vec<String>,
}

pub async fn submit(app: &App, key: &Key, submission: Submission) -> Result<Job> {
    let Submission { surface, external_id, idempotency, mut request, mut warnings } = submission;
    request.check(&app.config)?;
    if request.priority > key.max_priority {
        let message = format!("`priority` is {}; this key has at most {}", request.priority, key.max_priority);
        return Err(Failure { field: Some("priority".into()), ..Failure::forbidden(&message) });
    }
    if jobs::queued(&app.database, &key.id).await? >= key.max_queued {
        let message = format!("{} jobs of this key are waiting already", key.max_queued);
        return Err(Failure::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", message));
    }
    let held = inputs::take_in(app, &key.id, &mut request).await?;
    if let Some((area, true)) = request.area(&app.config) {
        warnings.push(format!("size_reduced: this server makes frames of {area} pixels"));
    }
    let seed = request.seed.unwrap_or_else(|| rand::random::<u32>().into()) as i64;
    let request_hash = hash(&request, &held)?;
    let new = NewJob { key_id: key.id.clone(), surface, external_id, idempotency, request_hash, request, seed, warnings };
    metrics::counter!("jobs_submitted_total", "surface" => surface).increment(1);
    let again = Again { key_id: new.key_id.clone(), idempotency: new.idempotency.clone(), request_hash: new.request_hash.clone() };
    match app.desk.submit(&app.database, new).await? {
        Some(job) => Ok(job),
        None => jobs::earlier(&app.database, &again).await,
    }
}

/// Of what is asked for: a file counts as what is in it.
fn hash(request: &JobRequest, held: &[String]) -> Result<String> {
    let mut request = request.clone();
    request.files_mut().for_each(|(_, file)| file.clear());
    let text = serde_json::to_vec(&(request, held)).map_err(Failure::internal)?;
    Ok(hex(&Sha256::digest(text)))
}
