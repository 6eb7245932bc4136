//! Both databases: one schema, one set of statements.

use std::str::FromStr;
use std::time::Duration;

#[cfg(feature = "postgres")]
use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Executor, SqlitePool};

/// Runs the same body with either pool.
macro_rules! on {
    ($database:expr, $pool:ident => $body:expr) => {
        match $database {
            $crate::db::Database::Sqlite($pool) => $body,
            #[cfg(feature = "postgres")]
            $crate::db::Database::Postgres($pool) => $body,
        }
    };
}
pub(crate) use on;

/// A `BEGIN` that nobody waits for any more, as a client hung up or a worker stops, leaves its connection in a transaction that sqlx 0.9.0 does not
/// know of (its issue 4393): what is written there next is never committed, and holds its rows for as long as the process lives. Such a
/// connection is closed.
#[cfg(feature = "postgres")]
async fn is_outside_transactions(connection: &mut sqlx::PgConnection) -> Result<bool, sqlx::Error> {
    // Outside, each statement is a transaction of its own, which begins with it.
    sqlx::raw_sql("SELECT now() = statement_timestamp()").fetch_one(connection).await?.try_get(0)
}

/// SQLite for one machine, Postgres for many.
#[derive(Clone, Debug)]
pub enum Database {
    Sqlite(SqlitePool),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool),
}

impl Database {
    /// Connects, and makes the tables that are missing.
    pub async fn open(url: &str) -> Result<Self, sqlx::Error> {
        let database = Self::connect(url).await?;
        database.set_up().await?;
        Ok(database)
    }

    async fn connect(url: &str) -> Result<Self, sqlx::Error> {
        if url.starts_with("sqlite") {
            // A commit is on disk before a client is told of its job.
            let options = SqliteConnectOptions::from_str(url)?.create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
            let options = options.synchronous(SqliteSynchronous::Full).busy_timeout(Duration::from_secs(30));
            // A connection to a file does not get lost: to ask it before each use would double the turns that a small query waits for.
            let pool = SqlitePoolOptions::new().max_connections(8).test_before_acquire(false);
            return Ok(Self::Sqlite(pool.connect_with(options).await?));
        }
        #[cfg(feature = "postgres")]
        if url.starts_with("postgres") {
            let pool = sqlx::postgres::PgPoolOptions::new().max_connections(16).acquire_timeout(Duration::from_secs(10));
            let pool = pool.after_release(|connection, _| Box::pin(is_outside_transactions(connection)));
            return Ok(Self::Postgres(pool.connect(url).await?));
        }
        Err(sqlx::Error::Configuration(format!("{url}: neither sqlite: nor postgres:").into()))
    }

    async fn set_up(&self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(pool) => apalis_sqlite::SqliteStorage::migrations().run(pool).await?,
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => {
                // Two processes that start together would both make the tables.
                let mut lock = pool.acquire().await?;
                lock.execute("SELECT pg_advisory_lock(7262024)").await?;
                let made = apalis_postgres::PostgresStorage::setup(pool).await;
                lock.execute("SELECT pg_advisory_unlock(7262024)").await?;
                made.map_err(|error| sqlx::Error::Configuration(error.to_string().into()))?;
            }
        }
        for statement in include_str!("schema.sql").split(';').filter(|statement| !statement.trim().is_empty()) {
            on!(self, pool => { pool.execute(AssertSqlSafe(statement.to_string())).await?; });
        }
        Ok(())
    }

    /// Whether it answers.
    pub async fn is_up(&self) -> bool {
        on!(self, pool => sqlx::query("SELECT 1").execute(pool).await.is_ok())
    }

    /// A value that all processes share, made by `make` where there is none yet.
    pub async fn setting(&self, name: &str, make: impl FnOnce() -> String) -> Result<String, sqlx::Error> {
        let value = make();
        on!(self, pool => {
            sqlx::query("INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING").bind(name).bind(value).execute(pool).await?;
            sqlx::query_scalar("SELECT value FROM setting WHERE name = $1").bind(name).fetch_one(pool).await
        })
    }
}
