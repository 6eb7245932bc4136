//! Keys, capabilities, health and metrics.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::api::auth::Admin;
use crate::api::json::Body;
use crate::app::Shared;
use crate::clock::now;
use crate::error::{Failure, Result};
use crate::keys::{self, Key};
use crate::{jobs, workers};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    name: String,
    #[serde(default)]
    admin: bool,
    /// Jobs that may wait at once.
    #[serde(default = "many")]
    #[schema(default = 100)]
    max_queued: i64,
    #[serde(default)]
    #[schema(default = 0)]
    max_priority: i64,
}

fn many() -> i64 {
    100
}

#[derive(Serialize, ToSchema)]
pub struct KeyView {
    id: String,
    name: String,
    /// Told once.
    key: Option<String>,
    /// Signs the webhooks of its jobs.
    webhook_secret: String,
    max_queued: i64,
    max_priority: i64,
    admin: bool,
    revoked: bool,
}

fn view(key: Key, told: Option<String>) -> KeyView {
    let (admin, revoked) = (key.is_admin(), key.revoked.is_some());
    KeyView {
        id: key.id,
        name: key.name,
        key: told,
        webhook_secret: key.webhook_secret,
        max_queued: key.max_queued,
        max_priority: key.max_priority,
        admin,
        revoked,
    }
}

/// A new key, by one that may make them.
#[utoipa::path(post, path = "/api/v1/keys", request_body = NewKey, responses((status = 201, body = KeyView), (status = 400), (status = 401), (status = 403), (status = 415), (status = 429)))]
pub async fn create_key(State(app): State<Shared>, _: Admin, Body(new): Body<NewKey>) -> Result<(StatusCode, Json<KeyView>)> {
    let (id, told) = keys::create(&app.database, &new.name, new.admin, new.max_queued, new.max_priority).await?;
    let key = keys::by_id(&app.database, &id).await?.ok_or_else(|| Failure::not_found("key"))?;
    Ok((StatusCode::CREATED, Json(view(key, Some(told)))))
}

/// All keys, for one that may make them.
#[utoipa::path(get, path = "/api/v1/keys", responses((status = 200, body = [KeyView]), (status = 401), (status = 403), (status = 429)))]
pub async fn list_keys(State(app): State<Shared>, _: Admin) -> Result<Json<Vec<KeyView>>> {
    Ok(Json(keys::list(&app.database).await?.into_iter().map(|key| view(key, None)).collect()))
}

/// A key that is no longer one, a few seconds later.
#[utoipa::path(delete, path = "/api/v1/keys/{id}", params(("id" = String, Path)), responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 429)))]
pub async fn revoke_key(State(app): State<Shared>, _: Admin, Path(id): Path<String>) -> Result<StatusCode> {
    if keys::revoke(&app.database, &id).await? { Ok(StatusCode::NO_CONTENT) } else { Err(Failure::not_found("key")) }
}

/// What this server can do.
#[utoipa::path(get, path = "/api/v1/capabilities", responses((status = 200, body = Object), (status = 401), (status = 429)))]
pub async fn capabilities(State(app): State<Shared>, _: Key) -> Result<Json<Value>> {
    let workers = workers::list(&app.database).await?;
    let workers: Vec<_> =
        workers.iter().map(|it| json!({ "adapter": it.adapter, "memory": it.memory, "release": it.release, "seen": it.seen })).collect();
    let config = &app.config;
    let formats = if cfg!(feature = "webm") { &["mp4", "mov", "gif", "frames", "webm"][..] } else { &["mp4", "mov", "gif", "frames"][..] };
    Ok(Json(json!({
        "modes": ["animate", "replace"],
        "formats": formats,
        "resolutions": config.areas,
        "largest_area": config.largest_area,
        "max_pixels": config.max_pixels,
        "max_frames": config.max_frames,
        "max_upload": config.max_upload,
        "segment_frames": config.segment_frames,
        "loras": config.loras.keys().collect::<Vec<_>>(),
        "safety": config.safety_network.is_some(),
        "draft": config.draft_decoder.is_some(),
        "workers": workers,
    })))
}

/// Whether the process lives.
#[utoipa::path(get, path = "/healthz", responses((status = 200)))]
pub async fn health() -> &'static str {
    "ok"
}

/// Whether jobs can be taken and run.
#[utoipa::path(get, path = "/readyz", responses((status = 200), (status = 503)))]
pub async fn ready(State(app): State<Shared>) -> Result<&'static str> {
    let unready = |what| Failure::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", what);
    if *app.stop.borrow() {
        return Err(unready("the process ends"));
    }
    if !app.database.is_up().await {
        return Err(unready("the database does not answer"));
    }
    if !app.store.is_up().await {
        return Err(unready("the store does not answer"));
    }
    if workers::list(&app.database).await?.is_empty() {
        return Err(Failure { code: "no_worker", ..unready("no worker was seen in the last 30 s") });
    }
    Ok("ready")
}

/// For Prometheus.
#[utoipa::path(get, path = "/metrics", responses((status = 200, content_type = "text/plain", body = String)))]
pub async fn metrics(State(app): State<Shared>) -> Result<impl IntoResponse> {
    for (state, count, oldest) in jobs::counts(&app.database).await? {
        if state == "queued" {
            metrics::gauge!("oldest_queued_seconds").set((now() - oldest) as f64 / 1000.0);
        }
        metrics::gauge!("jobs", "state" => state).set(count as f64);
    }
    metrics::gauge!("workers").set(workers::list(&app.database).await?.len() as f64);
    Ok(app.metrics.render())
}
