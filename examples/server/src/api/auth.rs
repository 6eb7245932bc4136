//! Who asks: an API key in a handler's arguments.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::app::Shared;
use crate::error::{Failure, Result};
use crate::job::Job;
use crate::jobs;
use crate::keys::Key;

impl FromRequestParts<Shared> for Key {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self> {
        app.keys.authenticate(&app.database, &parts.headers).await
    }
}

/// A key that may make others.
pub struct Admin;

impl FromRequestParts<Shared> for Admin {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self> {
        let key = Key::from_request_parts(parts, app).await?;
        if key.is_admin() { Ok(Self) } else { Err(Failure::forbidden("this key may not do that")) }
    }
}

/// A job of the key's own; another's is none.
pub async fn own_job(app: &Shared, key: &Key, id: &str) -> Result<Job> {
    let job = jobs::get(&app.database, id).await?.filter(|job| job.key_id == key.id);
    job.ok_or_else(|| Failure::not_found("job"))
}
