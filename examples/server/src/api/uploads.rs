//! Files that clients bring: announced, then PUT where the answer says.

use axum::Json;
use axum::body::Body as RawBody;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::json::Body;
use crate::app::Shared;
use crate::error::{Failure, Result};
use crate::keys::Key;
use crate::{sign, uploads};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUpload {
    #[serde(default)]
    filename: String,
    #[serde(default)]
    content_type: String,
    /// In bytes; another length is refused.
    size: Option<i64>,
    /// In hexadecimal digits; other bytes are refused.
    sha256: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct UploadPlace {
    id: String,
    /// What a job calls it.
    uri: String,
    /// Where the bytes are PUT, without a key.
    upload_url: String,
    method: &'static str,
    /// Until when it is kept, in milliseconds.
    expires: i64,
}

/// A place for a file.
#[utoipa::path(post, path = "/api/v1/uploads", request_body = NewUpload, responses((status = 201, body = UploadPlace), (status = 400), (status = 401), (status = 413), (status = 415), (status = 429)))]
pub async fn announce(State(app): State<Shared>, key: Key, Body(new): Body<NewUpload>) -> Result<(StatusCode, Json<UploadPlace>)> {
    let upload = uploads::announce(&app, &key.id, &new.filename, &new.content_type, new.size, new.sha256.as_deref()).await?;
    let place = UploadPlace {
        uri: format!("upload://{}", upload.id),
        upload_url: upload.put_url(&app),
        method: "PUT",
        expires: upload.expires,
        id: upload.id,
    };
    Ok((StatusCode::CREATED, Json(place)))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Signature {
    pub expires: i64,
    pub signature: String,
}

/// Takes the bytes as they come.
pub async fn receive(
    State(app): State<Shared>,
    Path(id): Path<String>,
    Query(given): Query<Signature>,
    body: RawBody,
) -> Result<StatusCode> {
    if !sign::is_valid(&app.secret, "PUT", &format!("/uploads/{id}"), given.expires, &given.signature) {
        return Err(Failure::forbidden("the address is not signed, or its time is over"));
    }
    let upload = uploads::find(&app, &id).await?.ok_or_else(|| Failure::not_found("upload"))?;
    uploads::receive(&app, &upload, body.into_data_stream()).await?;
    Ok(StatusCode::OK)
}
