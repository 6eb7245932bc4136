//! What is set for a whole server: defaults, over them a TOML file, over that the command line.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;

/// The settings' file, all of them optional.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where to listen.
    pub listen: String,
    /// How clients reach the server, for the addresses that it gives; by default what `listen` says.
    pub public_url: Option<String>,
    /// `sqlite:PATH` or `postgres://…`; by default a file in `data`.
    pub database: Option<String>,
    /// A folder, or `s3://bucket/prefix`, `gs://…`, `az://…`, with credentials from the environment; by default a folder in `data`.
    pub store: Option<String>,
    /// The folder of this process: scratch files, and by default the database and the files.
    pub data: PathBuf,
    /// The checkpoint's folder; by default the demo of the repository.
    pub model: Option<PathBuf>,
    /// The GPU, by a part of its name.
    pub adapter: Option<String>,
    /// GiB of GPU memory that a job may take; what does not fit is streamed from the checkpoint. Without it all weights stay there.
    pub memory_budget: Option<f64>,
    /// The tiny decoder of drafts, such as taew2_1.safetensors.
    pub draft_decoder: Option<PathBuf>,
    /// The networks that find a person in a raw video, where the checkpoint does not bring them.
    pub networks: Option<PathBuf>,
    /// The classifier of `safety`.
    pub safety_network: Option<PathBuf>,
    /// LoRA files by the names that requests may use.
    pub loras: BTreeMap<String, PathBuf>,
    /// Frames made at once where a request does not say.
    pub segment_frames: usize,
    /// Areas of the resolutions' names in pixels.
    pub areas: BTreeMap<String, u64>,
    /// Larger areas that a resolution's name or a vendor's default asks for become this one, with a warning.
    pub largest_area: Option<u64>,
    /// The most pixels of a frame that a request may name.
    pub max_pixels: u64,
    /// The most frames of a video.
    pub max_frames: usize,
    /// Between signs of life of a worker; after three that are missed it is taken for dead.
    pub heartbeat_ms: u64,
    /// Workers that may die of a job, with no checkpoint between, before it is given up; four times as many where workers die of others too.
    pub max_deaths: i64,
    /// Between two checkpoints of a job; 0 for one a step.
    pub checkpoint_ms: u64,
    /// After a signal to stop, for the step under way and its checkpoint; then the job is given back as it was at the checkpoint before.
    pub grace_ms: u64,
    /// Bytes of memory in which a file of a job can be decoded, or is refused.
    pub decode_memory: u64,
    /// Seconds of a processor in which it can.
    pub decode_seconds: u64,
    /// The largest file.
    pub max_upload: u64,
    /// The largest JSON body or WebSocket message, which may hold files as data URIs.
    pub max_body: usize,
    /// Seconds that results are kept where a request does not say.
    pub ttl: i64,
    /// Seconds of video cost so much by the name of the resolution; nothing by default.
    pub prices: BTreeMap<String, f64>,
    /// Requests a second of a key.
    pub rate: u32,
    /// Connections to addresses of the own network are allowed to inputs, webhooks and uploads: for tests.
    pub allow_private: bool,
    /// Addresses of the own network that inputs, webhooks and uploads may go to all the same.
    pub reachable: Vec<IpAddr>,
    /// Webhooks of inference.sh's shape have the numbers of its newer clients.
    pub infsh_new_webhooks: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            public_url: None,
            database: None,
            store: None,
            data: "server-data".into(),
            model: None,
            adapter: None,
            memory_budget: None,
            draft_decoder: None,
            networks: None,
            safety_network: None,
            loras: BTreeMap::new(),
            segment_frames: 77,
            areas: [("480p", 832 * 480), ("580p", 1024 * 576), ("720p", 1280 * 720)].map(|(name, area)| (name.into(), area)).into(),
            largest_area: None,
            max_pixels: 3840 * 2160,
            max_frames: 120 * 60,
            heartbeat_ms: 5000,
            max_deaths: 3,
            checkpoint_ms: 30_000,
            grace_ms: 20_000,
            decode_memory: 4 << 30,
            decode_seconds: 300,
            max_upload: 200_000_000,
            max_body: 96 << 20,
            ttl: 7 * 86_400,
            prices: BTreeMap::new(),
            rate: 100,
            allow_private: false,
            reachable: Vec::new(),
            infsh_new_webhooks: false,
        }
    }
}

/// The command line's share.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// A TOML file of settings; the README lists them.
    #[arg(long, value_name = "FILE", env = "WAN_ANIMATE_CONFIG")]
    config: Option<PathBuf>,
    /// Where to listen, such as 0.0.0.0:8080.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// How clients reach the server, such as https://video.example.org.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// sqlite:PATH or postgres://…
    #[arg(long, value_name = "URL", env = "WAN_ANIMATE_DATABASE")]
    database: Option<String>,
    /// A folder, s3://…, gs://… or az://…
    #[arg(long, value_name = "URL", env = "WAN_ANIMATE_STORE")]
    store: Option<String>,
    /// The folder of this process.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The checkpoint's folder.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// The GPU, by a part of its name.
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
}

impl Options {
    pub fn read(self) -> Result<Config, String> {
        let mut config = match &self.config {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
                toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?
            }
            None => Config::default(),
        };
        config.listen = self.listen.unwrap_or(config.listen);
        config.data = self.data.unwrap_or(config.data);
        config.public_url = self.public_url.or(config.public_url);
        config.database = self.database.or(config.database);
        config.store = self.store.or(config.store);
        config.model = self.model.or(config.model);
        config.adapter = self.adapter.or(config.adapter);
        Ok(config.or_demo())
    }
}

impl Config {
    /// The small checkpoint of the repository stands in where none is named.
    fn or_demo(mut self) -> Self {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo/model");
        if self.model.is_none() && demo.exists() {
            self.model = Some(demo);
            self.segment_frames = 17;
            self.largest_area = Some(96 * 96);
        }
        self
    }

    pub fn database(&self) -> String {
        self.database.clone().unwrap_or_else(|| format!("sqlite:{}", self.data.join("server.sqlite").display()))
    }

    pub fn store(&self) -> String {
        self.store.clone().unwrap_or_else(|| self.data.join("files").display().to_string())
    }

    pub fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }

    /// Without a slash at its end.
    pub fn public_url(&self) -> String {
        let url = self.public_url.clone().unwrap_or_else(|| format!("http://{}", self.listen));
        url.trim_end_matches('/').to_string()
    }
}
