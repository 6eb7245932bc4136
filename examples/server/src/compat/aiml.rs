//! AIML's API, version 2.

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::auth::own_job;
use crate::api::json::Body;
use crate::app::{App, Shared};
use crate::compat::fields::{Fields, seed};
use crate::compat::outcome::{fault, results};
use crate::error::{Failure, Result};
use crate::job::Job;
use crate::keys::Key;
use crate::request::{JobRequest, Mode, SafetyMode};
use crate::submit::{Submission, submit};

pub fn router() -> Router<Shared> {
    Router::new().route("/v2/video/generations", post(create).get(read))
}

pub fn error(failure: &Failure) -> Value {
    json!({ "statusCode": failure.status.as_u16(), "message": failure.message, "error": failure.code })
}

async fn create(State(app): State<Shared>, key: Key, headers: HeaderMap, Body(body): Body<Value>) -> Result<(StatusCode, Json<Value>)> {
    let mut fields = Fields::new(body)?;
    let model: String = fields.need("model")?;
    let request = job_request(&mut fields, &model)?;
    let idempotency = headers.get("idempotency-key").and_then(|value| value.to_str().ok()).map(|key| format!("aiml:{key}"));
    let submission = Submission { surface: "aiml", external_id: Some(model), idempotency, request, warnings: fields.left() };
    let job = submit(&app, &key, submission).await?;
    Ok((StatusCode::CREATED, Json(generation(&app, &job).await?)))
}

fn job_request(fields: &mut Fields, model: &str) -> Result<JobRequest> {
    let mode = match model {
        _ if model.ends_with("animate-move") => Mode::Animate,
        _ if model.ends_with("animate-replace") => Mode::Replace,
        _ => {
            return Err(Failure {
                field: Some("model".into()),
                ..Failure::new(StatusCode::NOT_FOUND, "not_found", format!("there is no model {model:?}"))
            });
        }
    };
    let quality: String = fields.or("video_quality", "high".into())?;
    let quality = match quality.as_str() {
        "low" => 50,
        "medium" => 75,
        "high" => 90,
        "maximum" => 100,
        _ => {
            return Err(Failure::field(
                "video_quality",
                format!("`video_quality` is {quality:?}; there are low, medium, high and maximum"),
            ));
        }
    };
    let safety = if fields.or("enable_safety_checker", false)? { SafetyMode::Fast } else { SafetyMode::None };
    Ok(JobRequest {
        mode,
        image: fields.need("image_url")?,
        video: Some(fields.need("video_url")?),
        prompt: fields.take("prompt")?,
        resolution: Some(fields.or("resolution", "480p".to_string())?),
        seed: seed("seed", fields.take("seed")?)?,
        steps: fields.or("num_inference_steps", 20)?,
        shift: Some(fields.or("shift", 5.0)?),
        quality,
        effort: Some(fields.or("video_write_mode", "balanced".to_string())?),
        safety,
        ..JobRequest::default()
    })
}

pub async fn generation(app: &App, job: &Job) -> Result<Value> {
    let status = match job.state.as_str() {
        "queued" => "queued",
        "completed" | "expired" => "completed",
        "failed" | "cancelled" => "error",
        _ => "generating",
    };
    let results = results(app, job).await?;
    let video = results.first().map(|(output, url)| json!({ "url": url, "duration": output.media.frames as f64 / output.media.fps }));
    let error = fault(job).map(|(code, message)| json!({ "name": code, "message": message }));
    Ok(json!({
        "id": format!("{}:{}", job.id, job.external_id.as_deref().unwrap_or_default()), "status": status, "video": video, "error": error,
        "meta": { "usage": { "credits_used": job.cost.unwrap_or(0.0) } },
    }))
}

#[derive(Deserialize)]
struct Which {
    generation_id: String,
}

async fn read(State(app): State<Shared>, key: Key, Query(which): Query<Which>) -> Result<Json<Value>> {
    let id = which.generation_id.split(':').next().unwrap_or_default();
    Ok(Json(generation(&app, &own_job(&app, &key, id).await?).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_defaults_stand() {
        let fields = || Fields::new(json!({ "image_url": "a", "video_url": "b" })).expect("an object");
        let request = job_request(&mut fields(), "alibaba/wan2.2-14b-animate-replace").expect("a request");
        assert_eq!((request.mode, request.steps, request.shift, request.quality), (Mode::Replace, 20, Some(5.0), 90));
        assert_eq!(
            (request.resolution.as_deref(), request.effort.as_deref(), request.safety),
            (Some("480p"), Some("balanced"), SafetyMode::None)
        );
        assert_eq!(job_request(&mut fields(), "other").expect_err("no model").status, StatusCode::NOT_FOUND);
    }
}
