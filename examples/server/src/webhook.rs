//! Webhooks as the Standard Webhooks specification has them: signed, the same id at every try, until one answers with 2xx.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use standardwebhooks::Webhook;

use crate::app::{App, Shared};
use crate::clock::{in_time, now};
use crate::compat;
use crate::db::on;
use crate::deliveries::Delivery;
use crate::error::{Failure, Result};
use crate::job::Job;
use crate::jobs;
use crate::keys;
use crate::queue::{self, Handler, Push};
use crate::sign;
use crate::store::hex;

/// Tries before a delivery is given up: an hour and a half.
const TRIES: i64 = 8;

pub fn handler(app: Shared) -> Handler {
    Arc::new(move |id, _| {
        let app = app.clone();
        Box::pin(async move { deliver(&app, &id).await })
    })
}

async fn deliver(app: &App, id: &str) -> Result<()> {
    let sql = "SELECT * FROM delivery WHERE id = $1 AND state = 'waiting'";
    let delivery: Option<Delivery> = on!(&app.database, pool => sqlx::query_as(sql).bind(id).fetch_optional(pool).await?);
    let Some(delivery) = delivery else { return Ok(()) };
    let Some(job) = jobs::get(&app.database, &delivery.job_id).await? else { return Ok(()) };
    let outcome = call(app, &delivery, &job).await;
    let (state, last) = match &outcome {
        Ok(status) if (200..300).contains(status) => ("delivered", status.to_string()),
        Ok(status) => (if delivery.tries + 1 >= TRIES { "dead" } else { "waiting" }, status.to_string()),
        Err(error) => (if delivery.tries + 1 >= TRIES { "dead" } else { "waiting" }, error.to_string()),
    };
    metrics::counter!("webhook_tries_total", "state" => state).increment(1);
    on!(&app.database, pool => {
        let mut tx = pool.begin().await?;
        let sql = "UPDATE delivery SET tries = tries + 1, state = $2, last = $3 WHERE id = $1";
        sqlx::query(sql).bind(id).bind(state).bind(last).execute(&mut *tx).await?;
        if state == "waiting" {
            tx.push(queue::DELIVERIES, &[(id, 0)], Some(in_time(pause(delivery.tries)))).await?;
        }
        tx.commit().await?;
    });
    Ok(())
}

/// 5 s, three times as long after each try, and up to a fifth more so that many do not come together.
fn pause(tries: i64) -> Duration {
    let base = if cfg!(feature = "accidents") { 300 } else { 5000 };
    let pause = base * 3_u64.pow(tries.clamp(0, 9) as u32);
    Duration::from_millis(pause + rand::random::<u64>() % (pause / 5 + 1))
}

async fn call(app: &App, delivery: &Delivery, job: &Job) -> Result<u16> {
    let body = compat::body(app, job, delivery.output as usize).await?;
    let body = serde_json::to_string(&body).map_err(Failure::internal)?;
    let key = keys::by_id(&app.database, &job.key_id).await?.ok_or_else(|| Failure::not_found("key"))?;
    let seconds = now() / 1000;
    let signature = match job.surface.as_str() {
        "wavespeed" => wavespeed(&key.webhook_secret, &delivery.id, seconds, &body),
        _ => {
            let webhook = Webhook::new(&key.webhook_secret).map_err(Failure::internal)?;
            webhook.sign(&delivery.id, seconds, body.as_bytes()).map_err(Failure::internal)?
        }
    };
    let headers = [
        ("content-type", "application/json".to_string()),
        ("webhook-id", delivery.id.clone()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", signature),
    ];
    let headers = headers.map(|(name, value)| (name.to_string(), value));
    app.fetch.send(Method::POST, &delivery.url, &headers, body, None).await
}

/// Their own scheme: the text behind `whsec_` is the key as it stands, and the digest is in hexadecimal digits.
fn wavespeed(secret: &str, id: &str, seconds: i64, body: &str) -> String {
    let key = secret.trim_start_matches("whsec_");
    format!("v3,{}", hex(&sign::hmac(key.as_bytes(), &format!("{id}.{seconds}.{body}"))))
}
