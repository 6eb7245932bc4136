//! Files that requests name: taken in before there is a job, fetched before it runs.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use bytes::Bytes;
use tokio::io::AsyncReadExt;

use crate::app::App;
use crate::clock::now;
use crate::error::{Failure, Result};
use crate::generate::Files;
use crate::request::JobRequest;
use crate::uploads;

/// What a file of a request says.
enum Source {
    Upload(String),
    Address(String),
    Bytes(Vec<u8>),
}

fn source(app: &App, field: &str, text: &str) -> Result<Source> {
    if let Some(id) = text.strip_prefix("upload://") {
        return Ok(Source::Upload(id.into()));
    }
    if let Some(rest) = text.strip_prefix(&format!("{}/uploads/", app.public_url)) {
        let id = rest.split(['/', '?']).next().unwrap_or_default();
        return Ok(Source::Upload(id.into()));
    }
    if text.contains("://") {
        app.fetch.check(text).map_err(|error| Failure { field: Some(field.into()), ..error })?;
        return Ok(Source::Address(text.into()));
    }
    let encoded = match text.strip_prefix("data:") {
        Some(rest) => rest.split_once(";base64,").map(|(_, encoded)| encoded),
        None => Some(text),
    };
    let bad = || Failure::field(field, format!("`{field}` is neither an upload, an https address, a data URI nor base64"));
    let encoded = encoded.filter(|encoded| encoded.len() > 32).ok_or_else(bad)?;
    let bytes = STANDARD.decode(encoded).or_else(|_| STANDARD_NO_PAD.decode(encoded)).or_else(|_| URL_SAFE.decode(encoded));
    bytes.map(Source::Bytes).map_err(|_| bad())
}

/// Files in the request itself become uploads, so that a job's row is small; the others are looked at. Says what the files hold: digests of
/// uploads, and addresses.
pub async fn take_in(app: &App, key_id: &str, request: &mut JobRequest) -> Result<Vec<String>> {
    let (mut held, mut named) = (Vec::new(), Vec::new());
    for (field, file) in request.files_mut() {
        match source(app, field, file)? {
            Source::Bytes(bytes) => named.push((field, file, uploads::store(app, key_id, field, Bytes::from(bytes)).await?)),
            Source::Upload(id) => named.push((field, file, id)),
            Source::Address(url) => held.push(format!("{field} {url}")),
        }
    }
    let mut found = uploads::find_all(app, named.iter().map(|(_, _, id)| id)).await?;
    found.retain(|upload| upload.key_id == key_id && upload.expires > now());
    for (field, file, id) in named {
        let upload = found.iter().find(|upload| upload.id == id);
        let upload = upload.ok_or_else(|| Failure::field(field, format!("`{field}`: there is no upload {id}")))?;
        if upload.state != "stored" {
            return Err(Failure::field(field, format!("`{field}`: upload {id} is not complete")));
        }
        held.push(format!("{field} {}", upload.sha256.as_deref().unwrap_or_default()));
        *file = format!("upload://{id}");
    }
    for (field, url) in [("webhook", &request.webhook), ("upload_to", &request.upload_to)] {
        if let Some(url) = url {
            app.fetch.check(url).map_err(|error| Failure { field: Some(field.into()), ..error })?;
        }
    }
    Ok(held)
}

/// Brings the files of a request into a folder.
pub async fn bring(app: &App, request: &JobRequest, folder: &Path) -> Result<Files> {
    let mut files = Files::new();
    for (field, file) in request.files() {
        let path = folder.join(field);
        match source(app, field, file)? {
            Source::Upload(id) => {
                let upload =
                    uploads::find(app, &id).await?.ok_or_else(|| Failure::field(field, format!("`{field}`: upload {id} is gone")))?;
                app.store.get_file(&upload.file, &path).await?;
            }
            Source::Address(url) => app.fetch.download(&url, &path, app.config.max_upload).await?,
            Source::Bytes(bytes) => tokio::fs::write(&path, bytes).await.map_err(Failure::internal)?,
        }
        files.insert(field, named(field, path).await?);
    }
    Ok(files)
}

/// Renames a file after what it is, not after what it was called.
async fn named(field: &str, path: PathBuf) -> Result<PathBuf> {
    let mut head = Vec::new();
    let file = tokio::fs::File::open(&path).await.map_err(Failure::internal)?;
    file.take(16).read_to_end(&mut head).await.map_err(Failure::internal)?;
    let kind = kind(&head).ok_or_else(|| {
        let message = format!("`{field}` is no picture or video that can be read");
        Failure { code: "unsupported_media", ..Failure::field(field, message) }
    })?;
    let to = path.with_extension(kind);
    tokio::fs::rename(&path, &to).await.map_err(Failure::internal)?;
    Ok(to)
}

fn kind(head: &[u8]) -> Option<&'static str> {
    let starts = |with: &[u8]| head.starts_with(with);
    let at = |place: usize, with: &[u8]| head.get(place..place + with.len()) == Some(with);
    Some(match () {
        () if at(4, b"ftyp") => "mp4",
        () if starts(b"\x89PNG") => "png",
        () if starts(b"\xff\xd8\xff") => "jpg",
        () if starts(b"GIF8") => "gif",
        () if at(8, b"WEBP") => "webp",
        () if starts(b"\x1a\x45\xdf\xa3") => "webm",
        () if at(8, b"AVI ") => "avi",
        () => return None,
    })
}
