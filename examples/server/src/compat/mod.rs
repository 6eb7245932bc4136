//! Surfaces of other services: each turns its request into a [`JobRequest`](crate::request::JobRequest) with its page's defaults, and a job into
//! its body.

pub mod aiml;
pub mod fields;
pub mod infsh;
pub mod openai;
pub mod outcome;
pub mod runware;
pub mod wavespeed;

use axum::Router;
use axum::middleware::map_response;
use axum::response::Response;
use serde_json::Value;

use crate::app::{App, Shared};
use crate::error::{Failure, Result};
use crate::job::Job;
use crate::view;

pub fn router() -> Router<Shared> {
    let all = shaped(openai::router(), openai::error).merge(shaped(wavespeed::router(), wavespeed::error));
    let all = all.merge(shaped(infsh::router(), infsh::error)).merge(shaped(aiml::router(), aiml::error));
    all.merge(shaped(runware::router(), runware::error))
}

/// Failures in a surface's own words.
fn shaped(router: Router<Shared>, shape: fn(&Failure) -> Value) -> Router<Shared> {
    router.layer(map_response(move |response: Response| async move {
        match response.extensions().get::<Failure>() {
            Some(failure) => failure.respond(shape(failure)),
            None => response,
        }
    }))
}

/// What a job's webhook says.
pub async fn body(app: &App, job: &Job, output: usize) -> Result<Value> {
    match job.surface.as_str() {
        "openai" => openai::video(app, job).await,
        "wavespeed" => wavespeed::prediction(app, job).await,
        "runware" => runware::webhook(app, job, output).await,
        "infsh" => infsh::task(app, job, app.config.infsh_new_webhooks).await,
        "aiml" => aiml::generation(app, job).await,
        _ => serde_json::to_value(view::view(app, job).await?).map_err(Failure::internal),
    }
}
