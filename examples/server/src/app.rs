//! What every part of a process shares.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;

use crate::config::Config;
use crate::db::Database;
use crate::desk::Desk;
use crate::fetch::Fetch;
use crate::keys::Keys;
use crate::store::Store;
use crate::watch::Watch;

pub struct App {
    pub config: Config,
    pub database: Database,
    pub desk: Desk,
    pub store: Store,
    pub fetch: Fetch,
    /// Without a slash at its end.
    pub public_url: String,
    /// Signs addresses; the same in all processes.
    pub secret: String,
    pub keys: Keys,
    pub watch: Watch,
    pub metrics: PrometheusHandle,
    /// Set where the process is to end.
    pub stop: watch::Receiver<bool>,
}

pub type Shared = Arc<App>;

impl App {
    pub async fn open(config: Config, metrics: PrometheusHandle, stop: watch::Receiver<bool>) -> Result<Shared, String> {
        std::fs::create_dir_all(&config.data).map_err(|error| format!("{}: {error}", config.data.display()))?;
        let url = config.database();
        let database = Database::open(&url).await.map_err(|error| format!("database {url}: {error}"))?;
        let secret = database.setting("secret", crate::keys::random).await.map_err(|error| error.to_string())?;
        Ok(Arc::new(Self {
            desk: Desk::default(),
            store: Store::open(&config.store())?,
            fetch: Fetch::new(config.allow_private, config.reachable.clone()),
            public_url: config.public_url(),
            secret,
            keys: Keys::new(config.rate),
            watch: Watch::default(),
            metrics,
            stop,
            database,
            config,
        }))
    }
}
