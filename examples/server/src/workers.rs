//! Who works, as far as the database knows.

use crate::clock::now;
use crate::db::{Database, on};
use crate::error::Result;

/// A worker that was not seen for so long is none.
const SILENT: i64 = 30_000;

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct WorkerRow {
    pub adapter: String,
    pub memory: i64,
    pub release: String,
    pub seen: i64,
}

pub async fn seen(database: &Database, name: &str, adapter: &str, memory: i64) -> Result<()> {
    let sql =
        "INSERT INTO worker (name, adapter, memory, release, seen) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO UPDATE SET seen = $5";
    on!(database, pool => {
        let query = sqlx::query(sql).bind(name).bind(adapter).bind(memory).bind(env!("CARGO_PKG_VERSION")).bind(now());
        query.execute(pool).await.map(drop)?;
    });
    Ok(())
}

pub async fn list(database: &Database) -> Result<Vec<WorkerRow>> {
    let sql = "SELECT * FROM worker WHERE seen > $1 ORDER BY name";
    Ok(on!(database, pool => sqlx::query_as(sql).bind(now() - SILENT).fetch_all(pool).await?))
}
