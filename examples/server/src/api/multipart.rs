//! Forms with files: the files go to the store as they come.

use std::collections::BTreeMap;

use axum::extract::{FromRequest, Multipart, Request};
use axum::http::header;
use futures::StreamExt;

use crate::app::Shared;
use crate::error::{Failure, Result};
use crate::keys::Key;
use crate::uploads;

/// Bytes of a field that is no file of the form, but may be one as a data URI.
const MAX_TEXT: usize = 64 << 20;

/// Fields by name: texts, and uploads.
#[derive(Default)]
pub struct Form {
    pub texts: BTreeMap<String, String>,
    pub files: BTreeMap<String, String>,
}

pub fn is_multipart(request: &Request) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("multipart/form-data"))
}

pub async fn read(app: &Shared, key: &Key, request: Request) -> Result<Form> {
    let bad = |error: &dyn std::fmt::Display| Failure::invalid(format!("the form cannot be read: {error}"));
    let mut multipart = Multipart::from_request(request, app).await.map_err(|error| bad(&error))?;
    let mut form = Form::default();
    while let Some(field) = multipart.next_field().await.map_err(|error| bad(&error))? {
        let name = field.name().unwrap_or_default().to_string();
        if let Some(file_name) = field.file_name().map(str::to_string) {
            let id = uploads::store_stream(app, &key.id, &file_name, field).await?;
            form.files.insert(name, format!("upload://{id}"));
            continue;
        }
        let mut text = Vec::new();
        let mut field = field;
        while let Some(piece) = field.next().await {
            text.extend_from_slice(&piece.map_err(|error| bad(&error))?);
            if text.len() > MAX_TEXT {
                return Err(Failure::too_large(MAX_TEXT as u64));
            }
        }
        let text = String::from_utf8(text).map_err(|error| bad(&error))?;
        form.texts.insert(name, text);
    }
    Ok(form)
}
