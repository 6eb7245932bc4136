//! API keys: 256 random bits, of which the database has a digest alone; who has one, and how often it may ask.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode, header};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::clock::now;
use crate::db::{Database, on};
use crate::error::{Failure, Result};
use crate::store::hex;

/// Characters of a key by which it is found.
const PREFIX: usize = 11;
/// A key that was revoked works for so long at most.
const REMEMBERED: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Key {
    pub id: String,
    pub hash: String,
    pub name: String,
    /// `jobs`, or `jobs,admin`.
    pub scopes: String,
    pub max_queued: i64,
    pub max_priority: i64,
    pub webhook_secret: String,
    pub created: i64,
    pub revoked: Option<i64>,
}

impl Key {
    pub fn is_admin(&self) -> bool {
        self.scopes.split(',').any(|scope| scope == "admin")
    }
}

/// 256 bits in hexadecimal digits.
pub fn random() -> String {
    hex(&rand::random::<[u8; 32]>())
}

fn digest(key: &str) -> String {
    hex(&Sha256::digest(key.as_bytes()))
}

/// A new key, which is told once and kept nowhere.
pub async fn create(database: &Database, name: &str, admin: bool, max_queued: i64, max_priority: i64) -> Result<(String, String)> {
    let (id, key) = (uuid::Uuid::now_v7().to_string(), format!("wa_{}", random()));
    let secret = format!("whsec_{}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, rand::random::<[u8; 32]>()));
    let sql = "INSERT INTO api_key (id, prefix, hash, name, scopes, max_queued, max_priority, webhook_secret, created) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    on!(database, pool => {
        let query = sqlx::query(sql).bind(&id).bind(&key[..PREFIX]).bind(digest(&key)).bind(name).bind(if admin { "jobs,admin" } else { "jobs" });
        query.bind(max_queued).bind(max_priority).bind(secret).bind(now()).execute(pool).await.map(drop)?;
    });
    Ok((id, key))
}

pub async fn list(database: &Database) -> Result<Vec<Key>> {
    Ok(on!(database, pool => sqlx::query_as("SELECT * FROM api_key ORDER BY created").fetch_all(pool).await?))
}

pub async fn by_id(database: &Database, id: &str) -> Result<Option<Key>> {
    Ok(on!(database, pool => sqlx::query_as("SELECT * FROM api_key WHERE id = $1").bind(id).fetch_optional(pool).await?))
}

pub async fn revoke(database: &Database, id: &str) -> Result<bool> {
    let sql = "UPDATE api_key SET revoked = $2 WHERE id = $1 AND revoked IS NULL";
    Ok(on!(database, pool => sqlx::query(sql).bind(id).bind(now()).execute(pool).await?.rows_affected()) == 1)
}

/// Those that were seen lately, and how often.
pub struct Keys {
    seen: Mutex<HashMap<String, (Key, Instant)>>,
    limiter: DefaultKeyedRateLimiter<String>,
}

impl Keys {
    /// With so many requests a second of each, and ten times as many at once.
    pub fn new(rate: u32) -> Self {
        let rate = NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(rate).allow_burst(rate.saturating_mul(NonZeroU32::MIN.saturating_add(9)));
        Self { seen: Mutex::default(), limiter: RateLimiter::keyed(quota) }
    }

    /// Who asks.
    pub async fn authenticate(&self, database: &Database, headers: &HeaderMap) -> Result<Key> {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("Key ")));
        self.check(database, given.map(str::trim)).await
    }

    pub async fn check(&self, database: &Database, given: Option<&str>) -> Result<Key> {
        let refused = || Failure::new(StatusCode::UNAUTHORIZED, "unauthorized", "an API key is needed: `Authorization: Bearer wa_…`");
        let given = given.filter(|given| given.len() > PREFIX && given.is_char_boundary(PREFIX)).ok_or_else(refused)?;
        let key = match self.remembered(given) {
            Some(key) => key,
            None => self.look_up(database, given).await?.ok_or_else(refused)?,
        };
        if self.limiter.check_key(&key.id).is_err() {
            return Err(Failure::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "too many requests of this key; wait a second"));
        }
        Ok(key)
    }

    fn remembered(&self, given: &str) -> Option<Key> {
        let seen = self.seen.lock().ok()?;
        seen.get(&digest(given)).filter(|(_, at)| at.elapsed() < REMEMBERED).map(|(key, _)| key.clone())
    }

    async fn look_up(&self, database: &Database, given: &str) -> Result<Option<Key>> {
        let sql = "SELECT * FROM api_key WHERE prefix = $1 AND revoked IS NULL";
        let keys: Vec<Key> = on!(database, pool => sqlx::query_as(sql).bind(&given[..PREFIX]).fetch_all(pool).await?);
        let wanted = digest(given);
        let key = keys.into_iter().find(|key| bool::from(key.hash.as_bytes().ct_eq(wanted.as_bytes())));
        if let (Some(key), Ok(mut seen)) = (&key, self.seen.lock()) {
            seen.retain(|_, (_, at)| at.elapsed() < REMEMBERED);
            seen.insert(wanted, (key.clone(), Instant::now()));
        }
        Ok(key)
    }
}
