//! What a client is told when something is wrong: one error, which each surface puts in its own words.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// By whose fault: `status` and `code` are for programs, `message` says what to do.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
    /// The field of the request at fault, where it is one.
    pub field: Option<String>,
}

impl Failure {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), field: None }
    }

    /// A field that cannot be used as it is.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..Self::new(StatusCode::BAD_REQUEST, "invalid_request", message) }
    }

    /// A field that asks for what this server does not do.
    pub fn unsupported(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: "unsupported", ..Self::field(field, message) }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
    }

    pub fn gone() -> Self {
        Self::new(StatusCode::GONE, "expired", "its files were kept until their time was over")
    }

    pub fn forbidden(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub fn too_large(limit: u64) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("more than {limit} bytes"))
    }

    pub fn internal(error: impl std::fmt::Display) -> Self {
        tracing::error!("{error}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "the server failed; it is logged there")
    }

    /// How a client is to take it: with the header that 429 and 503 have.
    pub fn respond(&self, body: serde_json::Value) -> Response {
        let mut response = (self.status, Json(body)).into_response();
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl IntoResponse for Failure {
    /// The failure itself goes along, for surfaces that say it in other words.
    fn into_response(self) -> Response {
        let mut response = self.respond(json!({ "error": { "code": self.code, "message": self.message, "field": self.field } }));
        response.extensions_mut().insert(self);
        response
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        tracing::error!("database: {error}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the database does not answer; try again")
    }
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::not_found("file"),
            error => {
                tracing::error!("store: {error}");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the files cannot be reached; try again")
            }
        }
    }
}
