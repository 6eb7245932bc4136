//! Results, frames and uploads, in whole or in part.

use std::io::Cursor;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use wan_animate::image::{ImageFormat, load_from_memory_with_format};

use crate::api::auth::own_job;
use crate::api::uploads::Signature;
use crate::app::{App, Shared};
use crate::clock::now;
use crate::error::{Failure, Result};
use crate::job::{Job, Output, count};
use crate::jobs;
use crate::keys::Key;
use crate::request::Format;
use crate::{sign, uploads};

/// What `Range` asks for of so many bytes; None for all of them.
fn range(headers: &HeaderMap, size: u64) -> Result<Option<std::ops::Range<u64>>> {
    let Some(text) = headers.get(header::RANGE).and_then(|range| range.to_str().ok()) else { return Ok(None) };
    // More than one range, and other units, may be answered with everything.
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|text| text.split_once('-')) else { return Ok(None) };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..size.min(last.saturating_add(1)),
        (Some(first), None) if last.is_empty() => first..size,
        (None, Some(count)) if first.is_empty() => size.saturating_sub(count)..size,
        _ => return Ok(None),
    };
    if range.start >= range.end {
        return Err(Failure::new(StatusCode::RANGE_NOT_SATISFIABLE, "invalid_range", format!("there are {size} bytes")));
    }
    Ok(Some(range))
}

/// A file of the store, or the part that is asked for.
async fn send(app: &App, headers: &HeaderMap, key: &str, kind: &str, etag: &str) -> Result<Response> {
    let etag = format!("\"{etag}\"");
    let asked = |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
    if asked(header::IF_NONE_MATCH).is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == etag)) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    let size = app.store.size(key).await?;
    let is_current = asked(header::IF_RANGE).is_none_or(|tag| tag == etag);
    let range = if is_current { range(headers, size)? } else { None };
    let length = range.as_ref().map_or(size, |range| range.end - range.start);
    let stream = app.store.stream(key, range.clone()).await?;
    let mut response = Response::builder()
        .header(header::CONTENT_TYPE, kind)
        .header(header::CONTENT_LENGTH, length)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::ETAG, etag)
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::CACHE_CONTROL, "private, max-age=3600");
    if let Some(range) = range {
        response = response.status(StatusCode::PARTIAL_CONTENT);
        response = response.header(header::CONTENT_RANGE, format!("bytes {}-{}/{size}", range.start, range.end - 1));
    }
    response.body(Body::from_stream(stream)).map_err(Failure::internal)
}

pub async fn send_output(app: &App, headers: &HeaderMap, output: &Output) -> Result<Response> {
    if output.expires <= now() {
        return Err(Failure::gone());
    }
    send(app, headers, &output.file, Format::content_type(&output.media.format), &output.media.sha256).await
}

/// An output at an address that works without a key.
pub async fn signed(
    State(app): State<Shared>,
    Path((id, _)): Path<(String, String)>,
    Query(given): Query<Signature>,
    headers: HeaderMap,
) -> Result<Response> {
    if !sign::is_valid(&app.secret, "GET", &format!("/files/{id}"), given.expires, &given.signature) {
        let is_over = given.expires > 0 && given.expires <= now();
        return Err(if is_over { Failure::gone() } else { Failure::forbidden("the address is not signed") });
    }
    let output = jobs::output(&app.database, &id).await?.ok_or_else(|| Failure::not_found("file"))?;
    send_output(&app, &headers, &output).await
}

/// The job's output number `n`, or the part that `Range` asks for.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/outputs/{n}", params(("id" = String, Path), ("n" = usize, Path)),
    responses((status = 200, content_type = "video/mp4", body = Vec<u8>), (status = 206), (status = 304), (status = 400), (status = 401), (status = 404), (status = 410), (status = 416), (status = 429)))]
pub async fn output(State(app): State<Shared>, key: Key, Path((id, n)): Path<(String, usize)>, headers: HeaderMap) -> Result<Response> {
    let job = own_job(&app, &key, &id).await?;
    let outputs = jobs::outputs(&app.database, &id).await?;
    match outputs.get(n) {
        Some(output) => send_output(&app, &headers, output).await,
        None if job.state == "expired" => Err(Failure::gone()),
        None => Err(Failure::not_found("output")),
    }
}

/// A frame while the job runs, as `N.png`.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/frames/{name}", params(("id" = String, Path), ("name" = String, Path)),
    responses((status = 200, content_type = "image/png", body = Vec<u8>), (status = 401), (status = 404), (status = 429)))]
pub async fn frame(State(app): State<Shared>, key: Key, Path((id, name)): Path<(String, String)>) -> Result<Response> {
    let job = own_job(&app, &key, &id).await?;
    let number: Option<usize> = name.strip_suffix(".png").and_then(|number| number.parse().ok());
    let number = number.ok_or_else(|| Failure::not_found("frame"))?;
    let mut before = 0;
    let run = job.frame_runs().into_iter().find(|run| {
        before += run.frames;
        number < before
    });
    let lease = run.ok_or_else(|| Failure::not_found("frame"))?.lease;
    let bytes = app.store.get(&format!("jobs/{id}/{lease}/{number:06}.png")).await?;
    Ok(([(header::CONTENT_TYPE, "image/png")], bytes).into_response())
}

/// What a job that runs will come to, as JPEG: a small picture of the last step, or else the last frame.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/preview.jpg", params(("id" = String, Path)),
    responses((status = 200, content_type = "image/jpeg", body = Vec<u8>), (status = 401), (status = 404), (status = 429)))]
pub async fn preview(State(app): State<Shared>, key: Key, Path(id): Path<String>) -> Result<Response> {
    let job = own_job(&app, &key, &id).await?;
    let bytes = match app.store.get(&format!("jobs/{id}/{}/preview.jpg", job.lease)).await {
        Err(error) if error.code == "not_found" => last_frame(&app, &job).await?,
        found => found?,
    };
    Ok(([(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, "no-store")], bytes).into_response())
}

async fn last_frame(app: &App, job: &Job) -> Result<Bytes> {
    let runs = job.frame_runs();
    let (Some(last), count) = (runs.last(), count(&runs)) else {
        return Err(Failure::not_found("preview"));
    };
    let png = app.store.get(&format!("jobs/{}/{}/{:06}.png", job.id, last.lease, count.saturating_sub(1))).await?;
    let mut bytes = Cursor::new(Vec::new());
    let picture = load_from_memory_with_format(&png, ImageFormat::Png).map_err(Failure::internal)?;
    picture.write_to(&mut bytes, ImageFormat::Jpeg).map_err(Failure::internal)?;
    Ok(bytes.into_inner().into())
}

pub async fn upload(State(app): State<Shared>, key: Key, Path(id): Path<String>, headers: HeaderMap) -> Result<Response> {
    let upload = uploads::find(&app, &id).await?.filter(|upload| upload.key_id == key.id && upload.state == "stored");
    let upload = upload.ok_or_else(|| Failure::not_found("upload"))?;
    // Never as what it says it is: it is somebody's, at this server's address.
    send(&app, &headers, &upload.file, "application/octet-stream", upload.sha256.as_deref().unwrap_or(&upload.id)).await
}

pub async fn named_upload(app: State<Shared>, key: Key, Path((id, _)): Path<(String, String)>, headers: HeaderMap) -> Result<Response> {
    upload(app, key, Path(id), headers).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_rfc_9110() {
        let of = |text: &str| {
            let headers = HeaderMap::from_iter([(header::RANGE, text.parse().expect("a value"))]);
            range(&headers, 100).map_err(|error| error.status.as_u16())
        };
        assert_eq!(of("bytes=0-9"), Ok(Some(0..10)));
        assert_eq!(of("bytes=90-"), Ok(Some(90..100)));
        assert_eq!(of("bytes=-10"), Ok(Some(90..100)));
        assert_eq!(of("bytes=-1000"), Ok(Some(0..100)));
        assert_eq!(of("bytes=50-1000"), Ok(Some(50..100)));
        assert_eq!(of("bytes=0-18446744073709551615"), Ok(Some(0..100)));
        assert_eq!(of("bytes=100-"), Err(416));
        assert_eq!(of("bytes=9-0"), Ok(None));
        assert_eq!(of("bytes=0-1,5-6"), Ok(None));
        assert_eq!(of("lines=0-1"), Ok(None));
    }
}
