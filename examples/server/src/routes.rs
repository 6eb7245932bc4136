//! Which address leads to which handler: the native surface, and those of others.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post, put};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::trace::TraceLayer;

use crate::api::{admin, docs, events, files, jobs, uploads};
use crate::app::Shared;
use crate::compat;

pub fn router(app: Shared) -> Router {
    let native = Router::new()
        .route("/api/v1/jobs", post(jobs::create).get(jobs::list))
        .route("/api/v1/jobs/{id}", get(jobs::read).delete(jobs::delete))
        .route("/api/v1/jobs/{id}/cancel", post(jobs::cancel))
        .route("/api/v1/jobs/{id}/events", get(events::stream))
        .route("/api/v1/jobs/{id}/deliveries", get(jobs::deliveries))
        .route("/api/v1/jobs/{id}/frames/{name}", get(files::frame))
        .route("/api/v1/jobs/{id}/outputs/{n}", get(files::output))
        .route("/api/v1/uploads", post(uploads::announce))
        .route("/api/v1/keys", post(admin::create_key).get(admin::list_keys))
        .route("/api/v1/keys/{id}", delete(admin::revoke_key))
        .route("/api/v1/capabilities", get(admin::capabilities))
        .route("/api/v1/jobs/{id}/preview.jpg", get(files::preview))
        .route("/openapi.json", get(docs::openapi))
        .route("/docs", get(docs::reference))
        .route("/uploads/{id}", put(uploads::receive).get(files::upload))
        .route("/uploads/{id}/{name}", get(files::named_upload))
        .route("/files/{id}/{name}", get(files::signed))
        .route("/healthz", get(admin::health))
        .route("/readyz", get(admin::ready))
        .route("/metrics", get(admin::metrics))
        .route("/", get(docs::page))
        .fallback(jobs::nothing);
    // A body that is streamed to the store has a limit of its own there.
    let limit = DefaultBodyLimit::max(app.config.max_body);
    native.merge(compat::router()).layer(limit).layer(CatchPanicLayer::new()).layer(TraceLayer::new_for_http()).with_state(app)
}
