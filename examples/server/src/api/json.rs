//! JSON bodies, whose faults are told like all others.

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use crate::app::Shared;
use crate::error::{Failure, Result};

/// In place of axum's own.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Shared> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &Shared) -> Result<Self> {
        match axum::Json::from_request(request, app).await {
            Ok(axum::Json(body)) => Ok(Self(body)),
            Err(error) => Err(told(&error)),
        }
    }
}

fn told(error: &JsonRejection) -> Failure {
    let code = match error.status().as_u16() {
        413 => "too_large",
        415 => "unsupported_media_type",
        _ => "invalid_request",
    };
    let status = if error.status().as_u16() == 422 { axum::http::StatusCode::BAD_REQUEST } else { error.status() };
    Failure::new(status, code, error.body_text())
}
