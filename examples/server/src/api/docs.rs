//! The description of the native surface, and the page.

use axum::Json;
use axum::http::header;
use axum::response::{Html, IntoResponse};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::api::{admin, events, files, jobs, uploads};

#[derive(OpenApi)]
#[openapi(
    info(title = "wan-animate-server", description = "Jobs on wan-animate: submit, watch, download."),
    paths(
        jobs::create, jobs::list, jobs::read, jobs::cancel, jobs::delete, jobs::deliveries, events::stream, files::frame, files::preview, files::output,
        uploads::announce, admin::create_key, admin::list_keys, admin::revoke_key, admin::capabilities, admin::health, admin::ready, admin::metrics
    ),
    modifiers(&Bearer)
)]
pub struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        description.components.get_or_insert_default().add_security_scheme("key", scheme);
        description.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], &str>("key", [])]);
    }
}

pub async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(Description::openapi())
}

pub async fn page() -> impl IntoResponse {
    alone(include_str!("../web/index.html"))
}

/// The description for readers.
pub async fn reference() -> impl IntoResponse {
    alone(include_str!("../web/docs.html"))
}

/// One file, which may load nothing from anywhere else.
fn alone(page: &'static str) -> impl IntoResponse {
    let policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; \
        form-action 'none'; frame-ancestors 'none'; base-uri 'none'";
    ([(header::CONTENT_SECURITY_POLICY, policy), (header::REFERRER_POLICY, "no-referrer")], Html(page))
}
