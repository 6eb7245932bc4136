//! WaveSpeed's API, version 3.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::auth::own_job;
use crate::api::json::Body;
use crate::app::{App, Shared};
use crate::clock::rfc3339;
use crate::compat::fields::{Fields, seed};
use crate::compat::outcome::{fault, results};
use crate::error::{Failure, Result};
use crate::job::Job;
use crate::keys::Key;
use crate::request::{JobRequest, Mode};
use crate::submit::{Submission, submit};
use crate::uploads;

const MODEL: &str = "wavespeed-ai/wan-2.2/animate";
/// How long a request in their synchronous mode is held.
const HELD: Duration = Duration::from_secs(120);

pub fn router() -> Router<Shared> {
    Router::new()
        .route("/api/v3/wavespeed-ai/wan-2.2/animate", post(create))
        .route("/api/v3/predictions/{id}/result", get(read))
        .route("/api/v3/predictions/{id}", get(read))
        .route("/api/v3/media/uploads", post(upload))
}

pub fn error(failure: &Failure) -> Value {
    json!({ "code": failure.status.as_u16(), "message": failure.message })
}

fn success(data: Value) -> Json<Value> {
    Json(json!({ "code": 200, "message": "success", "data": data }))
}

#[derive(Deserialize)]
struct Options {
    webhook: Option<String>,
}

async fn create(
    State(app): State<Shared>,
    key: Key,
    Query(options): Query<Options>,
    headers: HeaderMap,
    Body(body): Body<Value>,
) -> Result<Json<Value>> {
    let mut fields = Fields::new(body)?;
    let is_held = fields.or("enable_sync_mode", false)?;
    let request = JobRequest { webhook: options.webhook, ..job_request(&mut fields)? };
    let idempotency = headers.get("idempotency-key").and_then(|value| value.to_str().ok()).map(|key| format!("wavespeed:{key}"));
    let submission = Submission { surface: "wavespeed", external_id: None, idempotency, request, warnings: fields.left() };
    let mut job = submit(&app, &key, submission).await?;
    if is_held {
        job = (*app.watch.wait(&app.database, &app.stop, &job.id, HELD).await?).clone();
    }
    let mut data = prediction(&app, &job).await?;
    if is_held && !job.is_over() {
        // Their client then asks again.
        data["code"] = 5004.into();
    }
    Ok(success(data))
}

fn job_request(fields: &mut Fields) -> Result<JobRequest> {
    fields.refuse("enable_base64_output", "results are addresses")?;
    Ok(JobRequest {
        image: fields.need("image")?,
        video: Some(fields.need("video")?),
        prompt: fields.take("prompt")?,
        mode: fields.or("mode", Mode::Animate)?,
        resolution: Some(fields.or("resolution", "480p".to_string())?),
        seed: seed("seed", fields.take("seed")?)?,
        ..JobRequest::default()
    })
}

pub async fn prediction(app: &App, job: &Job) -> Result<Value> {
    let status = match job.state.as_str() {
        "queued" => "created",
        "completed" => "completed",
        "failed" => "failed",
        "cancelled" => "cancelled",
        "expired" => "deleted",
        _ => "processing",
    };
    let results = results(app, job).await?;
    let flags: Vec<_> = results.iter().filter_map(|(output, _)| output.flagged).map(|flagged| flagged != 0).collect();
    let outputs: Vec<_> = results.into_iter().map(|(_, url)| url).collect();
    Ok(json!({
        "id": job.id, "model": MODEL, "outputs": outputs, "urls": { "get": format!("{}/api/v3/predictions/{}/result", app.public_url, job.id) },
        "has_nsfw_contents": flags, "status": status, "created_at": rfc3339(job.created), "error": fault(job).map_or("", |(_, message)| message),
        "timings": { "inference": job.inference_ms },
    }))
}

async fn read(State(app): State<Shared>, key: Key, Path(id): Path<String>) -> Result<Json<Value>> {
    Ok(success(prediction(&app, &own_job(&app, &key, &id).await?).await?))
}

#[derive(Deserialize)]
struct NewUpload {
    filename: String,
    size: Option<i64>,
    #[serde(default)]
    content_type: String,
}

async fn upload(State(app): State<Shared>, key: Key, Body(new): Body<NewUpload>) -> Result<Json<Value>> {
    let upload = uploads::announce(&app, &key.id, &new.filename, &new.content_type, new.size, None).await?;
    let kind = if new.content_type.is_empty() { "application/octet-stream" } else { &new.content_type };
    Ok(success(json!({
        "upload": { "method": "PUT", "url": upload.put_url(&app), "headers": { "Content-Type": kind } },
        "download_url": upload.url(&app), "filename": upload.name, "size": upload.size,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_defaults_stand() {
        let mut fields = Fields::new(json!({ "image": "a", "video": "b", "seed": -1 })).expect("an object");
        let request = job_request(&mut fields).expect("a request");
        assert_eq!((request.mode, request.resolution.as_deref(), request.seed), (Mode::Animate, Some("480p"), None));
        let mut fields = Fields::new(json!({ "image": "a", "video": "b", "enable_base64_output": true })).expect("an object");
        assert_eq!(job_request(&mut fields).expect_err("no such output").field.as_deref(), Some("enable_base64_output"));
    }
}
