//! inference.sh's API, of both generations of its clients: they differ in the route and in the numbers of states.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body as RawBody, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::stream;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::auth::own_job;
use crate::api::events::Changes;
use crate::api::json::Body;
use crate::app::{App, Shared};
use crate::clock::rfc3339;
use crate::compat::fields::{Fields, seed};
use crate::compat::outcome::{fault, results};
use crate::error::{Failure, Result};
use crate::job::Job;
use crate::jobs;
use crate::keys::Key;
use crate::request::{JobRequest, MaskOptions, Mode};
use crate::submit::{Submission, submit};
use crate::{uploads, view};

/// Between two heartbeats of a stream.
const HEARTBEAT: Duration = Duration::from_secs(10);

pub fn router() -> Router<Shared> {
    Router::new()
        .route("/run", post(run))
        .route("/apps/run", post(run))
        .route("/tasks/{id}", get(read).delete(delete))
        .route("/tasks/{id}/stream", get(follow))
        .route("/tasks/{id}/cancel", post(cancel))
        .route("/tasks/{id}/files", get(list_files).delete(delete_files))
        .route("/files", post(upload))
}

pub fn error(failure: &Failure) -> Value {
    json!({ "type": "about:blank", "title": failure.code, "detail": failure.message, "status": failure.status.as_u16() })
}

/// Older clients say the name of the library that they use.
fn is_new(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    agent.is_some_and(|agent| agent.starts_with("inference-sdk"))
}

fn success(data: &Value) -> Json<Value> {
    Json(json!({ "success": true, "data": data }))
}

async fn run(State(app): State<Shared>, key: Key, headers: HeaderMap, Body(body): Body<Value>) -> Result<Json<Value>> {
    let mut fields = Fields::new(body)?;
    let name: String = fields.need("app")?;
    if !name.starts_with("infsh/wan-2-2-animate") {
        return Err(Failure {
            field: Some("app".into()),
            ..Failure::new(StatusCode::NOT_FOUND, "not_found", format!("there is no app {name:?}"))
        });
    }
    let webhook = fields.take("webhook")?;
    let mut input = fields.object("input")?;
    let request = JobRequest { webhook, ..job_request(&mut input)? };
    let idempotency = headers.get("idempotency-key").and_then(|value| value.to_str().ok()).map(|key| format!("infsh:{key}"));
    let submission = Submission { surface: "infsh", external_id: None, idempotency, request, warnings: input.left() };
    let job = submit(&app, &key, submission).await?;
    Ok(success(&task(&app, &job, is_new(&headers)).await?))
}

fn job_request(input: &mut Fields) -> Result<JobRequest> {
    let mode: String = input.or("mode", "animation".into())?;
    let mode = match mode.as_str() {
        "animation" => Mode::Animate,
        "replacement" => Mode::Replace,
        _ => return Err(Failure::field("input.mode", format!("`input.mode` is {mode:?}; there are animation and replacement"))),
    };
    input.refuse("use_flux", "pictures are not edited before they are retargeted")?;
    let (width, height): (u64, u64) = (input.or("resolution_width", 1280)?, input.or("resolution_height", 720)?);
    for (name, side) in [("input.resolution_width", width), ("input.resolution_height", height)] {
        if !(512..=1920).contains(&side) {
            return Err(Failure::field(name, format!("`{name}` is {side}; it goes from 512 to 1920")));
        }
    }
    let mask = MaskOptions {
        iterations: input.or("mask_iterations", 3)?,
        kernel_size: input.or("mask_kernel_size", 7)?,
        w_subdivisions: input.or("mask_w_subdivisions", 1)?,
        h_subdivisions: input.or("mask_h_subdivisions", 1)?,
    };
    Ok(JobRequest {
        mode,
        image: input
            .file("reference_image")?
            .ok_or_else(|| Failure::field("input.reference_image", "`input.reference_image` is missing"))?,
        video: Some(input.file("driving_video")?.ok_or_else(|| Failure::field("input.driving_video", "`input.driving_video` is missing"))?),
        prompt: input.take("input_prompt")?,
        negative_prompt: input.take("n_prompt")?,
        // Theirs is an area, with the aspect of the video.
        area: Some(width * height),
        fps: Some(input.or("fps", 30.0)?).filter(|&fps| fps != -1.0).unwrap_or(0.0),
        seed: seed("input.seed", input.take("seed")?)?,
        steps: input.or("sampling_steps", 20)?,
        guidance_scale: Some(input.or("guide_scale", 1.0)?),
        shift: Some(input.or("shift", 5.0)?),
        scheduler: Some(input.or("sample_solver", "dpm++".to_string())?),
        segment_frames: input.take("clip_len")?,
        overlap: input.or("refert_num", 1)?,
        retarget: input.or("retarget_flag", false)?,
        mask_options: Some(mask),
        ..JobRequest::default()
    })
}

fn number(job: &Job, is_new: bool) -> i64 {
    let (new, old) = match view::state(job) {
        "queued" => (2, 2),
        "preparing" => (4, 4),
        "running" => (7, 7),
        "encoding" => (9, 8),
        "cancelling" => (8, 7),
        "completed" | "expired" => (10, 9),
        "failed" => (11, 10),
        _ => (12, 11),
    };
    if is_new { new } else { old }
}

pub async fn task(app: &App, job: &Job, is_new: bool) -> Result<Value> {
    let results = results(app, job).await?;
    let request: Value = serde_json::from_str(&job.request).unwrap_or_default();
    let updated = job.finished.or(job.started).unwrap_or(job.created);
    let log = format!("{}: {:.0} %", view::state(job), job.at.progress * 100.0);
    Ok(json!({
        "id": job.id, "status": number(job, is_new), "status_name": view::state(job), "output": results.first().map(|(_, url)| json!({ "output_video": url })),
        "error": fault(job).map_or("", |(_, message)| message), "session_id": null, "created_at": rfc3339(job.created), "updated_at": rfc3339(updated),
        "input": request, "logs": [{ "log_type": 0, "content": log }], "progress": (job.at.progress * 100.0).round(),
    }))
}

async fn read(State(app): State<Shared>, key: Key, Path(id): Path<String>, headers: HeaderMap) -> Result<Json<Value>> {
    let job = own_job(&app, &key, &id).await?;
    Ok(success(&task(&app, &job, is_new(&headers)).await?))
}

async fn cancel(State(app): State<Shared>, key: Key, Path(id): Path<String>, headers: HeaderMap) -> Result<Json<Value>> {
    own_job(&app, &key, &id).await?;
    jobs::cancel(&app.database, &id).await?;
    read(State(app), key, Path(id), headers).await
}

async fn delete(State(app): State<Shared>, key: Key, Path(id): Path<String>) -> Result<Json<Value>> {
    crate::api::jobs::delete(State(app), key, Path(id)).await?;
    Ok(success(&Value::Null))
}

async fn list_files(State(app): State<Shared>, key: Key, Path(id): Path<String>) -> Result<Json<Value>> {
    let job = own_job(&app, &key, &id).await?;
    let files = results(&app, &job).await?;
    let files: Vec<_> = files.iter().map(|(output, url)| json!({ "id": output.id, "uri": url, "size": output.media.bytes })).collect();
    Ok(success(&files.into()))
}

/// The task stays, as one whose time is over.
async fn delete_files(State(app): State<Shared>, key: Key, Path(id): Path<String>) -> Result<Json<Value>> {
    let job = own_job(&app, &key, &id).await?;
    if job.state == "completed" {
        jobs::expire(&app.database, &id).await?;
    }
    Ok(success(&Value::Null))
}

/// Lines of JSON, or events for older clients: the task at each change, and a sign of life between.
async fn follow(State(app): State<Shared>, key: Key, Path(id): Path<String>, headers: HeaderMap) -> Result<Response> {
    own_job(&app, &key, &id).await?;
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let is_lines = accept.contains("ndjson");
    let changes = Changes::of(&app, &id).await?;
    let is_new = is_new(&headers);
    let lines = stream::unfold((changes, app), move |(mut changes, app)| async move {
        let message = match tokio::time::timeout(HEARTBEAT, changes.next()).await {
            Err(_) => json!({ "type": "heartbeat" }),
            Ok(None) => return None,
            Ok(Some(job)) => {
                json!({ "data": task(&app, &job, is_new).await.ok()?, "fields": ["status", "progress", "logs", "output", "error"] })
            }
        };
        let line = if is_lines { format!("{message}\n") } else { format!("data: {message}\n\n") };
        Some((Ok::<_, Infallible>(Bytes::from(line)), (changes, app)))
    });
    let kind = if is_lines { "application/x-ndjson" } else { "text/event-stream" };
    Ok(([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], RawBody::from_stream(lines)).into_response())
}

#[derive(Deserialize)]
struct NewFiles {
    files: Vec<NewFile>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct NewFile {
    filename: String,
    content_type: String,
    size: Option<i64>,
}

async fn upload(State(app): State<Shared>, key: Key, Body(new): Body<NewFiles>) -> Result<Json<Value>> {
    let mut places = Vec::new();
    for file in new.files.iter().take(16) {
        let upload = uploads::announce(&app, &key.id, &file.filename, &file.content_type, file.size, None).await?;
        places.push(json!({
            "id": upload.id, "uri": upload.url(&app), "upload_url": upload.put_url(&app), "filename": upload.name,
            "content_type": upload.r#type, "size": upload.size,
        }));
    }
    Ok(success(&places.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_defaults_stand() {
        let mut input = Fields::new(json!({ "reference_image": "a", "driving_video": "b", "offload_model": true })).expect("an object");
        let request = job_request(&mut input).expect("a request");
        assert_eq!(input.left(), ["ignored: offload_model"], "memory is the server's own affair");
        assert_eq!((request.area, request.fps, request.steps, request.overlap), (Some(1280 * 720), 30.0, 20, 1));
        assert_eq!((request.guidance_scale, request.shift, request.scheduler.as_deref()), (Some(1.0), Some(5.0), Some("dpm++")));
        let mask = request.mask_options.expect("options");
        assert_eq!((mask.iterations, mask.kernel_size, mask.w_subdivisions, mask.h_subdivisions), (3, 7, 1, 1));
        assert!("dpm++".parse::<wan_animate::Sampler>().is_ok() && "unipc".parse::<wan_animate::Sampler>().is_ok());
    }

    #[test]
    fn what_there_is_not_is_refused_by_name() {
        for (field, more) in [
            ("input.use_flux", json!({ "use_flux": true })),
            ("input.mode", json!({ "mode": "animate" })),
            ("input.resolution_width", json!({ "resolution_width": 100 })),
        ] {
            let mut body = json!({ "input": { "reference_image": "a", "driving_video": "b" } });
            if let (Some(input), Value::Object(more)) = (body["input"].as_object_mut(), more) {
                input.extend(more);
            }
            let mut input = Fields::new(body).and_then(|mut body| body.object("input")).expect("an object");
            assert_eq!(job_request(&mut input).expect_err(field).field.as_deref(), Some(field));
        }
    }
}
