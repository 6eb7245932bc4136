//! Jobs: submit, list, read, cancel, delete.

use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::auth::own_job;
use crate::api::json::Body;
use crate::api::multipart;
use crate::app::Shared;
use crate::deliveries;
use crate::error::{Failure, Result};
use crate::jobs;
use crate::keys::Key;
use crate::request::JobRequest;
use crate::submit::{Submission, submit};
use crate::view::{JobView, view};

/// The longest that a request is held open for its job.
const MAX_WAIT: u64 = 300;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// Seconds to wait for the end, at most 300.
    #[serde(default)]
    #[param(maximum = 300)]
    wait: u64,
}

/// Submits a job, as JSON or as a form with a part `request` and files. A second one under the same `Idempotency-Key` is the first one's.
#[utoipa::path(post, path = "/api/v1/jobs", request_body = JobRequest, params(Wait, ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 202, body = JobView), (status = 400, description = "wrong, and which field"), (status = 401), (status = 403), (status = 409), (status = 413), (status = 415), (status = 422), (status = 429)))]
pub async fn create(
    State(app): State<Shared>,
    key: Key,
    Query(wait): Query<Wait>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response> {
    if wait.wait > MAX_WAIT {
        return Err(Failure::field("wait", format!("`wait` is at most {MAX_WAIT} seconds")));
    }
    let idempotency = headers.get("idempotency-key").and_then(|value| value.to_str().ok()).map(str::to_string);
    let request = read_request(&app, &key, request).await?;
    let submission = Submission { surface: "native", external_id: None, idempotency, request, warnings: Vec::new() };
    let mut job = submit(&app, &key, submission).await?;
    if wait.wait > 0 {
        job = (*app.watch.wait(&app.database, &app.stop, &job.id, Duration::from_secs(wait.wait)).await?).clone();
    }
    Ok((StatusCode::ACCEPTED, Json(view(&app, &job).await?)).into_response())
}

async fn read_request(app: &Shared, key: &Key, request: Request) -> Result<JobRequest> {
    if !multipart::is_multipart(&request) {
        return Ok(Body::<JobRequest>::from_request(request, app).await?.0);
    }
    let mut form = multipart::read(app, key, request).await?;
    let text = form.texts.remove("request").unwrap_or_else(|| "{}".into());
    let mut value: serde_json::Value = serde_json::from_str(&text).map_err(|error| Failure::field("request", error.to_string()))?;
    let fields = value.as_object_mut().ok_or_else(|| Failure::field("request", "`request` is no object"))?;
    fields.extend(form.files.into_iter().map(|(name, upload)| (name, upload.into())));
    serde_json::from_value(value).map_err(|error| Failure::field("request", error.to_string()))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// Those in this state alone.
    state: Option<String>,
    /// Those that come after this one in the list.
    after: Option<String>,
    /// 1 to 100, 20 by default.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

#[derive(Serialize, ToSchema)]
pub struct Jobs {
    jobs: Vec<JobView>,
}

/// The key's jobs, newest first.
#[utoipa::path(get, path = "/api/v1/jobs", params(Listing), responses((status = 200, body = Jobs), (status = 400), (status = 401), (status = 429)))]
pub async fn list(State(app): State<Shared>, key: Key, Query(listing): Query<Listing>) -> Result<Json<Jobs>> {
    let limit = listing.limit.unwrap_or(20);
    if !(1..=100).contains(&limit) {
        return Err(Failure::field("limit", "`limit` goes from 1 to 100"));
    }
    let mut views = Vec::new();
    for job in jobs::list(&app.database, &key.id, listing.state.as_deref(), listing.after.as_deref(), limit).await? {
        views.push(view(&app, &job).await?);
    }
    Ok(Json(Jobs { jobs: views }))
}

/// A job.
#[utoipa::path(get, path = "/api/v1/jobs/{id}", params(("id" = String, Path), Wait), responses((status = 200, body = JobView), (status = 400), (status = 401), (status = 404), (status = 429)))]
pub async fn read(State(app): State<Shared>, key: Key, Path(id): Path<String>, Query(wait): Query<Wait>) -> Result<Json<JobView>> {
    let mut job = own_job(&app, &key, &id).await?;
    if wait.wait > 0 && !job.is_over() {
        job = (*app.watch.wait(&app.database, &app.stop, &id, Duration::from_secs(wait.wait.min(MAX_WAIT))).await?).clone();
    }
    Ok(Json(view(&app, &job).await?))
}

/// Cancels a job: at once while it is queued, within a second or so where it runs.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/cancel", params(("id" = String, Path)), responses((status = 200, body = JobView), (status = 401), (status = 404), (status = 429)))]
pub async fn cancel(State(app): State<Shared>, key: Key, Path(id): Path<String>) -> Result<Json<JobView>> {
    own_job(&app, &key, &id).await?;
    jobs::cancel(&app.database, &id).await?;
    Ok(Json(view(&app, &own_job(&app, &key, &id).await?).await?))
}

/// Forgets a job that is over, and its files.
#[utoipa::path(delete, path = "/api/v1/jobs/{id}", params(("id" = String, Path)), responses((status = 204), (status = 401), (status = 404), (status = 409), (status = 429)))]
pub async fn delete(State(app): State<Shared>, key: Key, Path(id): Path<String>) -> Result<StatusCode> {
    let job = own_job(&app, &key, &id).await?;
    if !job.is_over() {
        return Err(Failure::new(StatusCode::CONFLICT, "conflict", "the job is not over; cancel it first"));
    }
    app.store.delete_folder(&format!("jobs/{id}"), |_| false).await?;
    jobs::delete(&app.database, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize, ToSchema)]
pub struct DeliveryView {
    id: String,
    url: String,
    /// waiting, delivered or dead.
    state: String,
    tries: i64,
    /// What the last try came to.
    last: String,
}

/// The job's webhooks, and what became of them.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/deliveries", params(("id" = String, Path)), responses((status = 200, body = [DeliveryView]), (status = 401), (status = 404), (status = 429)))]
pub async fn deliveries(State(app): State<Shared>, key: Key, Path(id): Path<String>) -> Result<Json<Vec<DeliveryView>>> {
    own_job(&app, &key, &id).await?;
    let found = deliveries::of_job(&app, &id).await?;
    let views = found.into_iter().map(|it| DeliveryView { id: it.id, url: it.url, state: it.state, tries: it.tries, last: it.last });
    Ok(Json(views.collect()))
}

pub async fn nothing() -> Failure {
    Failure::not_found("address")
}
