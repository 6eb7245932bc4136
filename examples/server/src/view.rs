//! A job as the native surface shows it.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::App;
use crate::error::Result;
use crate::job::{Job, Media, Output, Progress, count};
use crate::jobs;
use crate::sign;

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobView {
    pub id: String,
    /// queued, preparing, running, encoding, cancelling, completed, failed, cancelled or expired.
    pub state: String,
    /// Each state with its time in milliseconds since 1970.
    pub history: Vec<Moment>,
    #[serde(flatten)]
    pub at: Progress,
    /// Jobs before it, while it is queued.
    pub position: Option<i64>,
    /// Frames that can be looked at.
    pub frames: usize,
    pub seed: i64,
    pub priority: i64,
    pub created: i64,
    pub started: Option<i64>,
    pub finished: Option<i64>,
    pub inference_ms: Option<i64>,
    /// Denoising steps that were made in all, those that were made again included.
    pub steps_made: i64,
    /// Where it was asked for.
    pub cost: Option<f64>,
    /// When the result is gone.
    pub expires: Option<i64>,
    pub error: Option<Fault>,
    pub warnings: Vec<String>,
    pub outputs: Vec<OutputView>,
    /// What was asked for; with uploads in the place of files.
    #[schema(value_type = Object)]
    pub request: Value,
    /// Workers that died of it.
    pub deaths: i64,
    /// Rises with every change.
    pub version: i64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Moment {
    pub state: String,
    pub at: i64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Fault {
    pub code: String,
    pub message: String,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OutputView {
    /// Works without a key, until it expires.
    pub url: String,
    #[serde(flatten)]
    pub media: Media,
    /// What a classifier says; none where none was asked for.
    pub flagged: Option<bool>,
}

/// With its outputs, and its place in the queue.
pub async fn view(app: &App, job: &Job) -> Result<JobView> {
    let outputs = if job.state == "completed" { jobs::outputs(&app.database, &job.id).await? } else { Vec::new() };
    let position = if job.state == "queued" { Some(jobs::ahead(&app.database, job).await?) } else { None };
    let request: Value = serde_json::from_str(&job.request).unwrap_or_default();
    let include_cost = request["include_cost"] == true;
    Ok(JobView {
        id: job.id.clone(),
        state: state(job).into(),
        history: history(job),
        at: job.at.clone(),
        position,
        frames: count(&job.frame_runs()),
        seed: job.seed,
        priority: job.priority,
        created: job.created,
        started: job.started,
        finished: job.finished,
        inference_ms: job.finished.map(|_| job.inference_ms),
        steps_made: job.steps_made,
        cost: job.cost.filter(|_| include_cost),
        expires: job.expires,
        error: job.error_code.clone().map(|code| Fault { code, message: job.error.clone().unwrap_or_default() }),
        warnings: serde_json::from_str(&job.warnings).unwrap_or_default(),
        outputs: outputs.iter().map(|output| output_view(app, output)).collect(),
        request,
        deaths: job.deaths,
        version: job.seq,
    })
}

/// A job that runs and is to be cancelled is on its way there.
pub fn state(job: &Job) -> &str {
    if job.cancel != 0 && !job.is_over() { "cancelling" } else { &job.state }
}

fn history(job: &Job) -> Vec<Moment> {
    let moments = job.history.split(',').filter_map(|moment| moment.split_once('@'));
    moments.map(|(state, at)| Moment { state: state.into(), at: at.parse().unwrap_or_default() }).collect()
}

fn output_view(app: &App, output: &Output) -> OutputView {
    OutputView { url: output_url(app, output), media: output.media.clone(), flagged: output.flagged.map(|flagged| flagged != 0) }
}

/// Works without a key, until the output expires.
pub fn output_url(app: &App, output: &Output) -> String {
    let path = format!("/files/{}", output.id);
    format!("{}{path}/video.{}?{}", app.public_url, output.media.format, sign::query(&app.secret, "GET", &path, output.expires))
}
