//! Files that clients bring, before the jobs that need them.

use bytes::Bytes;
use futures::Stream;
use sqlx::QueryBuilder;

use crate::app::App;
use crate::clock::now;
use crate::db::on;
use crate::error::{Failure, Result};
use crate::store::Written;

/// How long an upload is kept: a day.
pub const KEPT: i64 = 86_400_000;
/// How long there is to bring it: an hour.
const TO_BRING: i64 = 3_600_000;

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Upload {
    pub id: String,
    pub key_id: String,
    pub name: String,
    pub r#type: String,
    pub size: Option<i64>,
    pub sha256: Option<String>,
    pub file: String,
    /// `waiting` or `stored`.
    pub state: String,
    pub expires: i64,
}

impl Upload {
    /// Where it is brought to, without a key.
    pub fn put_url(&self, app: &App) -> String {
        let path = format!("/uploads/{}", self.id);
        format!("{}{path}?{}", app.public_url, crate::sign::query(&app.secret, "PUT", &path, now() + TO_BRING))
    }

    /// What jobs call it, and where its owner may fetch it again.
    pub fn url(&self, app: &App) -> String {
        let name = percent_encoding::utf8_percent_encode(&self.name, percent_encoding::NON_ALPHANUMERIC);
        format!("{}/uploads/{}/{name}", app.public_url, self.id)
    }
}

/// A place for a file that is announced.
pub async fn announce(app: &App, key_id: &str, name: &str, kind: &str, size: Option<i64>, sha256: Option<&str>) -> Result<Upload> {
    if size.is_some_and(|size| size < 0 || size as u64 > app.config.max_upload) {
        return Err(Failure::too_large(app.config.max_upload));
    }
    let id = uuid::Uuid::now_v7().to_string();
    let file = format!("uploads/{id}");
    let sql = "INSERT INTO upload (id, key_id, name, type, size, sha256, file, state, expires) VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', $8) RETURNING *";
    let name = if name.is_empty() { "file" } else { name };
    Ok(on!(&app.database, pool => {
        let query = sqlx::query_as(sql).bind(&id).bind(key_id).bind(name).bind(kind).bind(size).bind(sha256).bind(&file);
        query.bind(now() + KEPT).fetch_one(pool).await?
    }))
}

pub async fn find(app: &App, id: &str) -> Result<Option<Upload>> {
    Ok(on!(&app.database, pool => sqlx::query_as("SELECT * FROM upload WHERE id = $1").bind(id).fetch_optional(pool).await?))
}

/// Those of these that there are.
pub async fn find_all(app: &App, ids: impl Iterator<Item = &String>) -> Result<Vec<Upload>> {
    let ids: Vec<_> = ids.collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(on!(&app.database, pool => {
        let mut query = QueryBuilder::new("SELECT * FROM upload WHERE id IN (");
        let mut list = query.separated(", ");
        ids.iter().for_each(|id| {
            list.push_bind(*id);
        });
        query.push(")");
        query.build_query_as().fetch_all(pool).await?
    }))
}

/// Takes a body in as it comes; what is not what was announced is thrown away.
pub async fn receive<E: std::fmt::Display>(
    app: &App,
    upload: &Upload,
    body: impl Stream<Item = Result<Bytes, E>> + Unpin,
) -> Result<Written> {
    if upload.state == "stored" {
        return Err(Failure::new(axum::http::StatusCode::CONFLICT, "conflict", "this upload is complete"));
    }
    let written = app.store.put_stream(&upload.file, app.config.max_upload, body).await?;
    let wrong = match upload {
        Upload { size: Some(size), .. } if *size as u64 != written.bytes => {
            Some(format!("{} bytes, of {size} that were announced", written.bytes))
        }
        Upload { sha256: Some(digest), .. } if !digest.eq_ignore_ascii_case(&written.sha256) => {
            Some("the digest is not the one that was announced".into())
        }
        _ => None,
    };
    if let Some(wrong) = wrong {
        app.store.delete(&upload.file).await?;
        return Err(Failure::invalid(wrong));
    }
    let sql = "UPDATE upload SET state = 'stored', size = $2, sha256 = $3 WHERE id = $1";
    on!(&app.database, pool => sqlx::query(sql).bind(&upload.id).bind(written.bytes as i64).bind(&written.sha256).execute(pool).await.map(drop)?);
    Ok(written)
}

/// A file that came within a request.
pub async fn store(app: &App, key_id: &str, name: &str, bytes: Bytes) -> Result<String> {
    let body = futures::stream::iter([Ok::<_, std::convert::Infallible>(bytes)]);
    store_stream(app, key_id, name, body).await
}

pub async fn store_stream<E: std::fmt::Display>(
    app: &App,
    key_id: &str,
    name: &str,
    body: impl Stream<Item = Result<Bytes, E>> + Unpin,
) -> Result<String> {
    let upload = announce(app, key_id, name, "application/octet-stream", None, None).await?;
    receive(app, &upload, body).await?;
    Ok(upload.id)
}
