//! A job and its results, as the database has them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{Failure, Result};
use crate::request::JobRequest;

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Job {
    pub id: String,
    pub key_id: String,
    pub surface: String,
    pub external_id: Option<String>,
    pub request_hash: String,
    pub request: String,
    pub state: String,
    /// STATE@MS, with commas between.
    pub history: String,
    #[sqlx(flatten)]
    pub at: Progress,
    pub priority: i64,
    pub lease: i64,
    /// Workers that died of it.
    pub deaths: i64,
    /// Those since its last checkpoint.
    pub strikes: i64,
    pub failures: i64,
    pub cancel: i64,
    pub seed: i64,
    pub error_code: Option<String>,
    pub error: Option<String>,
    pub warnings: String,
    pub state_key: Option<String>,
    pub frame_runs: String,
    pub created: i64,
    pub started: Option<i64>,
    pub finished: Option<i64>,
    pub inference_ms: i64,
    pub steps_made: i64,
    pub cost: Option<f64>,
    pub expires: Option<i64>,
    pub seq: i64,
}

impl Job {
    pub fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "completed" | "failed" | "cancelled" | "expired")
    }

    pub fn request(&self) -> Result<JobRequest> {
        serde_json::from_str(&self.request).map_err(Failure::internal)
    }

    pub fn frame_runs(&self) -> Vec<FrameRun> {
        serde_json::from_str(&self.frame_runs).unwrap_or_default()
    }
}

/// How far a job has come, as its worker tells.
#[derive(Clone, Debug, Default, Serialize, ToSchema, sqlx::FromRow)]
pub struct Progress {
    /// What is being done, in words.
    pub stage: String,
    /// From 1 on; 0 before the first.
    pub segment: i64,
    pub segments: i64,
    /// From 1 on; 0 before the first.
    pub step: i64,
    pub steps: i64,
    /// 0 to 1.
    pub progress: f64,
    pub eta_ms: Option<i64>,
    /// Of one video.
    pub total_frames: i64,
    /// Frames a second; 0 before it is known.
    pub fps: f64,
}

/// Frames that were stored under a lease, in order.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct FrameRun {
    pub lease: i64,
    pub frames: usize,
}

pub fn count(runs: &[FrameRun]) -> usize {
    runs.iter().map(|run| run.frames).sum()
}

/// A result in the store.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Output {
    pub id: String,
    pub job_id: String,
    pub n: i64,
    pub file: String,
    #[sqlx(flatten)]
    pub media: Media,
    /// What a classifier says; none where none was asked for.
    pub flagged: Option<i64>,
    pub expires: i64,
}

/// What there is to know of a result's file.
#[derive(Clone, Debug, Serialize, ToSchema, sqlx::FromRow)]
pub struct Media {
    pub seed: i64,
    pub format: String,
    pub bytes: i64,
    pub sha256: String,
    pub width: i64,
    pub height: i64,
    pub frames: i64,
    pub fps: f64,
}

/// What a column of text says.
pub fn as_json(value: &(impl Serialize + ?Sized)) -> Result<String> {
    serde_json::to_string(value).map_err(Failure::internal)
}
