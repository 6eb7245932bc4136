//! The shape of OpenAI's videos, which local video servers speak: `/v1/videos`.

use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::auth::own_job;
use crate::api::json::Body;
use crate::api::{files, multipart};
use crate::app::{App, Shared};
use crate::compat::fields::{Fields, seed};
use crate::compat::outcome::fault;
use crate::error::{Failure, Result};
use crate::job::Job;
use crate::jobs;
use crate::keys::Key;
use crate::request::{JobRequest, LoraChoice};
use crate::submit::{Submission, submit};

/// The name by which clients know the model.
const MODEL: &str = "wan2.2-animate-14b";

pub fn router() -> Router<Shared> {
    Router::new()
        .route("/v1/videos", post(create).get(list))
        .route("/v1/videos/{id}", get(read).delete(delete))
        .route("/v1/videos/{id}/content", get(content))
        .route("/v1/models", get(models))
}

pub fn error(failure: &Failure) -> Value {
    let kind = if failure.status.is_server_error() { "server_error" } else { "invalid_request_error" };
    json!({ "error": { "message": failure.message, "type": kind, "param": failure.field, "code": failure.code } })
}

async fn create(State(app): State<Shared>, key: Key, headers: HeaderMap, request: Request) -> Result<Json<Value>> {
    let mut fields = Fields::new(read_fields(&app, &key, request).await?)?;
    let request = job_request(&mut fields)?;
    let idempotency = headers.get("idempotency-key").and_then(|value| value.to_str().ok()).map(|key| format!("openai:{key}"));
    let submission = Submission { surface: "openai", external_id: None, idempotency, request, warnings: fields.left() };
    let job = submit(&app, &key, submission).await?;
    Ok(Json(video(&app, &job).await?))
}

/// A form's texts are JSON where they can be.
async fn read_fields(app: &Shared, key: &Key, request: Request) -> Result<Value> {
    if !multipart::is_multipart(&request) {
        return Ok(Body::<Value>::from_request(request, app).await?.0);
    }
    let form = multipart::read(app, key, request).await?;
    let of_text = |(name, text): (String, String)| {
        let value = match serde_json::from_str(&text) {
            Ok(value @ (Value::Number(_) | Value::Bool(_) | Value::Object(_) | Value::Array(_))) if name != "prompt" => value,
            _ => Value::String(text),
        };
        (name, value)
    };
    let mut fields = Map::new();
    for (name, value) in form.texts.into_iter().map(of_text).chain(form.files.into_iter().map(|(name, file)| (name, file.into()))) {
        insert(&mut fields, &name, value);
    }
    Ok(Value::Object(fields))
}

/// The SDK writes an object's fields as `name[field]`.
fn insert(fields: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('[').and_then(|(name, field)| Some((name, field.strip_suffix(']')?))) {
        Some((name, field)) => {
            let object = fields.entry(name).or_insert_with(|| Map::new().into());
            if let Value::Object(object) = object {
                object.insert(field.into(), value);
            }
        }
        None => {
            fields.insert(name.into(), value);
        }
    }
}

fn job_request(fields: &mut Fields) -> Result<JobRequest> {
    let model: String = fields.or("model", MODEL.into())?;
    let name = model.to_lowercase();
    if !name.contains("animate") || name.contains("animate-2") || name.contains("animate2") {
        let failure = Failure::new(StatusCode::NOT_FOUND, "model_not_found", format!("there is no model {model:?}; there is {MODEL}"));
        return Err(Failure { field: Some("model".into()), ..failure });
    }
    let image = first(fields, &["input_reference", "image_reference", "image"])?;
    let video = first(fields, &["video_reference", "source_video", "video"])?;
    let size: Option<String> = fields.take("size")?;
    let (width, height) = match size.as_deref().map(|size| sides(size).ok_or(size)) {
        None => (fields.take("width")?, fields.take("height")?),
        Some(Ok((width, height))) => (Some(width), Some(height)),
        Some(Err(size)) => return Err(Failure::field("size", format!("`size` is {size:?}; it is WIDTHxHEIGHT"))),
    };
    let fps = number(fields, "fps")?.unwrap_or(0.0);
    let seconds = number(fields, "seconds")?;
    let frames: Option<usize> = fields.take("num_frames")?;
    let default = JobRequest::default();
    let extra: Fields = fields.object("extra_params")?;
    if let Some(name) = extra.left().first() {
        return Err(Failure::unsupported("extra_params", format!("`extra_params`: {name}")));
    }
    Ok(JobRequest {
        mode: fields.or("mode", default.mode)?,
        image: image.ok_or_else(|| Failure::field("input_reference", "`input_reference` is missing, the character's image"))?,
        video,
        pose: fields.file("pose")?,
        face: fields.file("face")?,
        prompt: fields.take("prompt")?,
        negative_prompt: fields.take("negative_prompt")?,
        width,
        height,
        fps,
        // Whole videos by default; without `fps`, seconds are of 16 frames.
        max_frames: frames.or(seconds.map(|seconds| (seconds * if fps > 0.0 { fps } else { 16.0 }).round().max(1.0) as usize)),
        seed: seed("seed", fields.take("seed")?)?,
        steps: fields.or("num_inference_steps", default.steps)?,
        guidance_scale: fields.take("guidance_scale")?,
        shift: fields.take("flow_shift")?,
        loras: fields.take::<Vec<LoraChoice>>("lora")?.unwrap_or_default(),
        segment_frames: fields.take("segment_frames")?,
        ..default
    })
}

/// The SDK sends seconds as a text.
fn number(fields: &mut Fields, name: &str) -> Result<Option<f64>> {
    let value: Option<Value> = fields.take(name)?;
    let number = value.as_ref().map(|value| value.as_f64().or_else(|| value.as_str()?.parse().ok()));
    match number {
        None => Ok(None),
        Some(Some(number)) if number >= 0.0 => Ok(Some(number)),
        Some(_) => Err(Failure::field(name, format!("`{name}` is no number"))),
    }
}

fn first(fields: &mut Fields, names: &[&str]) -> Result<Option<String>> {
    let mut found = None;
    for name in names {
        let file = fields.file(name)?;
        found = found.or(file);
    }
    Ok(found)
}

fn sides(size: &str) -> Option<(u32, u32)> {
    let (width, height) = size.split_once('x')?;
    Some((width.parse().ok()?, height.parse().ok()?))
}

pub async fn video(app: &App, job: &Job) -> Result<Value> {
    let request = job.request()?;
    let (status, progress) = match job.state.as_str() {
        "queued" => ("queued", 0.0),
        "completed" | "expired" => ("completed", 100.0),
        "failed" | "cancelled" => ("failed", job.at.progress * 100.0),
        "encoding" => ("in_progress", 99.0),
        _ => ("in_progress", job.at.progress * 100.0),
    };
    let outputs = jobs::outputs(&app.database, &job.id).await?;
    let size = outputs.first().map(|output| format!("{}x{}", output.media.width, output.media.height));
    let size = size.or(request.width.zip(request.height).map(|(width, height)| format!("{width}x{height}")));
    let seconds = outputs.first().map(|output| output.media.frames as f64 / output.media.fps);
    let error = fault(job).map(|(code, message)| json!({ "code": code, "message": message }));
    Ok(json!({
        "id": job.id, "object": "video", "model": MODEL, "status": status, "progress": progress.round(), "created_at": job.created / 1000,
        "completed_at": job.finished.filter(|_| job.state == "completed").map(|ms| ms / 1000), "expires_at": job.expires.map(|ms| ms / 1000),
        "size": size, "seconds": seconds.map(|seconds| format!("{seconds:.3}")), "prompt": request.prompt, "error": error,
        "remixed_from_video_id": null, "seed": job.seed,
    }))
}

async fn read(State(app): State<Shared>, key: Key, Path(id): Path<String>) -> Result<Json<Value>> {
    Ok(Json(video(&app, &own_job(&app, &key, &id).await?).await?))
}

#[derive(Deserialize)]
struct Listing {
    after: Option<String>,
    limit: Option<i64>,
}

async fn list(State(app): State<Shared>, key: Key, Query(listing): Query<Listing>) -> Result<Json<Value>> {
    let limit = listing.limit.unwrap_or(20).clamp(1, 100);
    let found = jobs::list(&app.database, &key.id, None, listing.after.as_deref(), limit + 1).await?;
    let mut data = Vec::new();
    for job in found.iter().take(limit as usize) {
        data.push(video(&app, job).await?);
    }
    let id = |video: Option<&Value>| video.map(|video| video["id"].clone());
    Ok(Json(
        json!({ "object": "list", "first_id": id(data.first()), "last_id": id(data.last()), "has_more": found.len() > data.len(), "data": data }),
    ))
}

/// A job that runs is cancelled; one that is over is forgotten.
async fn delete(State(app): State<Shared>, key: Key, Path(id): Path<String>) -> Result<Json<Value>> {
    let job = own_job(&app, &key, &id).await?;
    if job.is_over() {
        app.store.delete_folder(&format!("jobs/{id}"), |_| false).await?;
        jobs::delete(&app.database, &id).await?;
    } else {
        jobs::cancel(&app.database, &id).await?;
    }
    Ok(Json(json!({ "id": id, "object": "video.deleted", "deleted": true })))
}

async fn content(State(app): State<Shared>, key: Key, Path(id): Path<String>, headers: HeaderMap) -> Result<Response> {
    own_job(&app, &key, &id).await?;
    let outputs = jobs::outputs(&app.database, &id).await?;
    let output = outputs.first().ok_or_else(|| Failure::not_found("content yet"))?;
    files::send_output(&app, &headers, output).await
}

async fn models(_: Key) -> Json<Value> {
    Json(json!({ "object": "list", "data": [{ "id": MODEL, "object": "model", "created": 0, "owned_by": "wan-animate" }] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(model: &str) -> Result<JobRequest> {
        job_request(&mut Fields::new(json!({ "model": model, "input_reference": "a", "video_reference": "b" }))?)
    }

    #[test]
    fn there_is_one_model() {
        assert_eq!(request(MODEL).expect("a request").steps, 20);
        assert!(request("Wan-AI/Wan2.2-Animate-14B-Diffusers").is_ok());
        for model in ["sora-2", "Wan-AI/Wan2.2-Animate-2-14B-Diffusers"] {
            let error = request(model).expect_err(model);
            assert_eq!((error.status, error.field.as_deref()), (StatusCode::NOT_FOUND, Some("model")), "{error}");
        }
    }
}
