//! Webhooks that are to be called, and what became of them.

use crate::app::App;
use crate::db::on;
use crate::error::Result;

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Delivery {
    pub id: String,
    pub job_id: String,
    pub output: i64,
    pub url: String,
    pub tries: i64,
    /// `waiting`, `delivered` or `dead`.
    pub state: String,
    /// What the last try came to.
    pub last: String,
}

pub async fn of_job(app: &App, job_id: &str) -> Result<Vec<Delivery>> {
    let sql = "SELECT * FROM delivery WHERE job_id = $1 ORDER BY created";
    Ok(on!(&app.database, pool => sqlx::query_as(sql).bind(job_id).fetch_all(pool).await?))
}
