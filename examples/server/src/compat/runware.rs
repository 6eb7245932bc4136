//! Runware's API: arrays of tasks, over a WebSocket or by POST.

use std::collections::HashSet;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::api::json::Body;
use crate::app::{App, Shared};
use crate::compat::fields::Fields;
use crate::compat::outcome::{fault, results};
use crate::error::{Failure, Result};
use crate::job::Job;
use crate::jobs;
use crate::keys::Key;
use crate::queue::stopped;
use crate::request::{Format, JobRequest, LoraChoice, Mode, SafetyMode};
use crate::submit::{Submission, submit};
use crate::uploads;

pub fn router() -> Router<Shared> {
    Router::new().route("/v1", get(connect).post(tasks))
}

pub fn error(failure: &Failure) -> Value {
    json!({ "errors": [fault_of(failure, None)] })
}

fn fault_of(failure: &Failure, task: Option<&str>) -> Value {
    let code = match failure.code {
        "unsupported" => "unsupportedParameter",
        "unauthorized" => "invalidApiKey",
        "invalid_request" => "invalidParameter",
        code => code,
    };
    json!({ "code": code, "message": failure.message, "parameter": failure.field, "type": "error", "documentation": "/openapi.json", "taskUUID": task })
}

/// What a task comes to: an answer, and a job whose end is told without being asked for.
struct Answer {
    data: Vec<Value>,
    follow: Option<Job>,
}

impl From<Value> for Answer {
    fn from(data: Value) -> Self {
        Self { data: vec![data], follow: None }
    }
}

async fn tasks(State(app): State<Shared>, key: Key, Body(tasks): Body<Vec<Value>>) -> Json<Value> {
    let (mut data, mut errors) = (Vec::new(), Vec::new());
    for task in tasks {
        let id = task["taskUUID"].as_str().map(str::to_string);
        match perform(&app, &key, task).await {
            Ok(answer) => data.extend(answer.data),
            Err(error) => errors.push(fault_of(&error, id.as_deref())),
        }
    }
    // Items that are errors of jobs are among the errors.
    let (failed, data): (Vec<_>, Vec<_>) = data.into_iter().partition(|item| item.get("code").is_some());
    errors.extend(failed);
    Json(if errors.is_empty() { json!({ "data": data }) } else { json!({ "data": data, "errors": errors }) })
}

async fn perform(app: &App, key: &Key, task: Value) -> Result<Answer> {
    let mut fields = Fields::new(task)?;
    let kind: String = fields.need("taskType")?;
    let id: Option<String> = fields.take("taskUUID")?;
    match kind.as_str() {
        "ping" => Ok(json!({ "taskType": "ping", "pong": true }).into()),
        "authentication" => Ok(json!({ "taskType": "authentication", "connectionSessionUUID": uuid::Uuid::new_v4().to_string() }).into()),
        "videoInference" => generate(app, key, id, &mut fields).await,
        "getResponse" | "getTaskDetails" => respond(app, key, id).await,
        "imageUpload" => {
            let file: String = fields.need("image")?;
            let (name, url) = store(app, key, &file).await?;
            Ok(json!({ "taskType": kind, "taskUUID": id, "imageUUID": name, "imageURL": url }).into())
        }
        "mediaStorage" => {
            let operation: String = fields.or("operation", "upload".into())?;
            if operation != "upload" {
                return Err(Failure::unsupported("operation", format!("`operation` is {operation:?}; there is upload")));
            }
            let file: String = fields.need("media")?;
            let (name, url) = store(app, key, &file).await?;
            Ok(json!({ "taskType": kind, "taskUUID": id, "mediaUUID": name, "mediaURL": url }).into())
        }
        _ => Err(Failure::unsupported("taskType", format!("there is no taskType {kind:?} here"))),
    }
}

/// A file in the message itself.
async fn store(app: &App, key: &Key, file: &str) -> Result<(String, String)> {
    let mut request = JobRequest { image: file.into(), ..JobRequest::default() };
    crate::inputs::take_in(app, &key.id, &mut request).await?;
    let id = request
        .image
        .strip_prefix("upload://")
        .ok_or_else(|| Failure::unsupported("media", "give the file itself, as a data URI or base64"))?;
    let upload = uploads::find(app, id).await?.ok_or_else(|| Failure::not_found("upload"))?;
    Ok((upload.id.clone(), upload.url(app)))
}

/// What was uploaded is named by its UUID alone.
fn media(name: String) -> String {
    if uuid::Uuid::parse_str(&name).is_ok() { format!("upload://{name}") } else { name }
}

async fn generate(app: &App, key: &Key, id: Option<String>, fields: &mut Fields) -> Result<Answer> {
    let id = id.ok_or_else(|| Failure::field("taskUUID", "`taskUUID` is missing"))?;
    let (request, warnings) = job_request(fields)?;
    let idempotency = Some(format!("runware:{id}"));
    let submission = Submission { surface: "runware", external_id: Some(id.clone()), idempotency, request, warnings };
    let job = submit(app, key, submission).await?;
    Ok(Answer { data: vec![json!({ "taskType": "videoInference", "taskUUID": id, "status": "processing" })], follow: Some(job) })
}

async fn respond(app: &App, key: &Key, id: Option<String>) -> Result<Answer> {
    let id = id.ok_or_else(|| Failure::field("taskUUID", "`taskUUID` is missing"))?;
    let job = jobs::by_external(&app.database, &key.id, &id).await?.ok_or_else(|| Failure::not_found("task"))?;
    let follow = (!job.is_over()).then(|| job.clone());
    Ok(Answer { data: items(app, &job).await?, follow })
}

fn job_request(fields: &mut Fields) -> Result<(JobRequest, Vec<String>)> {
    check_what_there_is(fields)?;
    let mut features = fields.object("advancedFeatures")?;
    let mut animate = features.object("wanAnimate")?;
    let mut safety = fields.object("safety")?;
    let mut request = JobRequest {
        mode: animate.or("mode", Mode::Animate)?,
        retarget: animate.or("retargetPose", false)?,
        overlap: animate.or("prevSegCondFrames", 1)?,
        prompt: fields.take("positivePrompt")?,
        negative_prompt: fields.take("negativePrompt")?,
        width: fields.take("width")?,
        height: fields.take("height")?,
        resolution: fields.take("resolution")?,
        fps: fields.or("fps", 16.0)?,
        seed: fields.take("seed")?,
        steps: fields.or("steps", 30)?,
        guidance_scale: fields.take("CFGScale")?,
        scheduler: fields.take("scheduler")?,
        count: fields.or("numberResults", 1)?,
        loras: loras(fields)?,
        format: format(fields)?,
        quality: fields.or("outputQuality", 95)?,
        safety: check_content(&mut safety)?,
        webhook: fields.take("webhookURL")?,
        upload_to: fields.take("uploadEndpoint")?,
        ttl: fields.take("ttl")?,
        include_cost: fields.or("includeCost", false)?,
        ..JobRequest::default()
    };
    let mut inputs = fields.object("inputs")?;
    request.image = first(&mut inputs, "referenceImages")?;
    request.video = Some(first(&mut inputs, "referenceVideos")?);
    accelerate(&mut fields.object("acceleratorOptions")?, &mut request)?;
    let left = [fields.left(), inputs.left(), features.left(), animate.left(), safety.left()].concat();
    Ok((request, left))
}

/// The one model, and the ways of delivery.
fn check_what_there_is(fields: &mut Fields) -> Result<()> {
    let model: String = fields.or("model", "runware:200@8".into())?;
    if model != "runware:200@8" {
        return Err(Failure::field("model", format!("`model` is {model:?}; there is runware:200@8")));
    }
    let delivery: String = fields.or("deliveryMethod", "async".into())?;
    if delivery != "async" {
        return Err(Failure::unsupported("deliveryMethod", format!("`deliveryMethod` is {delivery:?}; there is async")));
    }
    check_output_type(fields)
}

fn first(inputs: &mut Fields, name: &str) -> Result<String> {
    let files: Vec<String> = inputs.or(name, Vec::new())?;
    let missing = || Failure::field(format!("inputs.{name}"), format!("`inputs.{name}` is missing"));
    files.into_iter().next().map(media).ok_or_else(missing)
}

fn format(fields: &mut Fields) -> Result<Format> {
    let name: String = fields.or("outputFormat", "MP4".into())?;
    match name.to_uppercase().as_str() {
        "MP4" => Ok(Format::Mp4),
        "MOV" => Ok(Format::Mov),
        "WEBM" => Ok(Format::Webm),
        _ => Err(Failure::field("outputFormat", format!("`outputFormat` is {name:?}; there are MP4, MOV and WEBM"))),
    }
}

fn check_output_type(fields: &mut Fields) -> Result<()> {
    let kinds: Option<Value> = fields.take("outputType")?;
    let all_are_urls = match &kinds {
        None => true,
        Some(Value::Array(kinds)) => kinds.iter().all(|kind| kind == "URL"),
        Some(kind) => kind == "URL",
    };
    if all_are_urls { Ok(()) } else { Err(Failure::unsupported("outputType", "`outputType`: there is URL")) }
}

fn check_content(safety: &mut Fields) -> Result<SafetyMode> {
    let asked = safety.or("checkContent", false)?;
    let mode: Option<SafetyMode> = safety.take("mode")?;
    Ok(mode.unwrap_or(if asked { SafetyMode::Fast } else { SafetyMode::None }))
}

fn loras(fields: &mut Fields) -> Result<Vec<LoraChoice>> {
    let mut choices = Vec::new();
    for lora in fields.or("lora", Vec::<Value>::new())? {
        let mut lora = Fields::new(lora)?;
        let transformer: String = lora.or("transformer", "both".into())?;
        if transformer != "both" {
            return Err(Failure::unsupported("lora.transformer", "`lora.transformer`: Animate has one transformer; there is both"));
        }
        choices.push(LoraChoice { name: lora.need("model")?, weight: lora.or("weight", 1.0)? });
    }
    Ok(choices)
}

/// Their caches are the library's. The Python client spells two fields in its own way.
fn accelerate(options: &mut Fields, request: &mut JobRequest) -> Result<()> {
    let first = options.or("fbCache", false)? | options.or("fbcache", false)?;
    let first_threshold = share(options, "fbCacheThreshold", 0.25)?;
    let tea = options.or("teaCache", false)?;
    let distance = share(options, "teaCacheDistance", 0.5)?;
    let dual = options.or("dbCache", false)?;
    let dual_threshold = share(options, "dbCacheThreshold", 0.25)?;
    options.refuse("dbCacheSkipInterval", "the library's dual-block cache has none")?;
    request.cache = match (first, tea, dual) {
        (false, false, false) => None,
        (true, false, false) => Some(format!("first-block:{first_threshold}")),
        (false, true, false) => Some(format!("tea:{distance}")),
        (false, false, true) => Some(format!("dual-block:{dual_threshold}")),
        _ => return Err(Failure::field("acceleratorOptions", "`acceleratorOptions`: one cache at a time")),
    };
    let end: Option<u64> = options.take("cacheEndStep")?.or(options.take("cacheStopStep")?);
    let start: Option<u64> = options.take("cacheStartStep")?;
    let (from, to): (Option<f64>, Option<f64>) = (options.take("cacheStartStepPercentage")?, options.take("cacheEndStepPercentage")?);
    // Theirs count from 0.
    request.cache_start = start.map(|step| (step + 1).to_string()).or(from.map(|percent| format!("{percent}%")));
    request.cache_end = end.map(|step| step.to_string()).or(to.map(|percent| format!("{percent}%")));
    request.cache_max_consecutive = request.cache.is_some().then_some(options.or("cacheMaxConsecutiveSteps", 3)?);
    match options.left().first() {
        Some(name) => Err(Failure::unsupported("acceleratorOptions", name.clone())),
        None => Ok(()),
    }
}

/// A number from 0 to 1.
fn share(options: &mut Fields, name: &str, default: f64) -> Result<f64> {
    let share: f64 = options.or(name, default)?;
    if (0.0..=1.0).contains(&share) {
        return Ok(share);
    }
    let field = format!("acceleratorOptions.{name}");
    Err(Failure::field(&field, format!("`{field}` is {share}; it goes from 0 to 1")))
}

/// An item for each result, one that says "processing" before there are any, or an error.
async fn items(app: &App, job: &Job) -> Result<Vec<Value>> {
    let id = job.external_id.as_deref();
    if let Some((code, message)) = fault(job) {
        let code = if code == "cancelled" { "taskCancelled" } else { code };
        return Ok(vec![json!({ "code": code, "message": message, "type": "error", "taskUUID": id, "taskType": "videoInference" })]);
    }
    if job.state == "expired" {
        return Ok(vec![json!({ "taskType": "videoInference", "taskUUID": id, "status": "success" })]);
    }
    let results = results(app, job).await?;
    if results.is_empty() {
        return Ok(vec![json!({ "taskType": "videoInference", "taskUUID": id, "status": "processing" })]);
    }
    let cost = job.cost.filter(|_| job.request().is_ok_and(|request| request.include_cost));
    let items = results.into_iter().map(|(output, url)| {
        let mut item = json!({
            "taskType": "videoInference", "taskUUID": id, "status": "success", "videoUUID": output.id, "videoURL": url, "seed": output.media.seed,
        });
        if let Some(cost) = cost {
            item["cost"] = cost.into();
        }
        if let Some(flagged) = output.flagged {
            item["NSFWContent"] = (flagged != 0).into();
        }
        item
    });
    Ok(items.collect())
}

/// One call for each result.
pub async fn webhook(app: &App, job: &Job, output: usize) -> Result<Value> {
    let items = items(app, job).await?;
    let item = items.into_iter().nth(output).unwrap_or_default();
    Ok(if item.get("code").is_some() { json!({ "errors": [item] }) } else { json!({ "data": [item] }) })
}

async fn connect(State(app): State<Shared>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    match WebSocketUpgrade::from_request_parts(&mut parts, &app).await {
        Ok(upgrade) => {
            let size = app.config.max_body;
            upgrade.max_message_size(size).max_frame_size(size).on_upgrade(move |socket| serve(app, socket))
        }
        Err(error) => error.into_response(),
    }
}

/// A connection: what comes is answered at once, and the ends of its jobs are told as they come.
async fn serve(app: Shared, socket: WebSocket) {
    let (mut out, mut incoming) = socket.split();
    let (sender, mut receiver) = mpsc::channel::<Value>(64);
    let writer = async move {
        while let Some(message) = receiver.recv().await {
            if out.send(Message::text(message.to_string())).await.is_err() {
                return;
            }
        }
        let _ = out.close().await;
    };
    let reader = async {
        let mut session = Session { app: app.clone(), key: None, followed: HashSet::new(), sender };
        loop {
            tokio::select! {
                message = incoming.next() => match message {
                    Some(Ok(Message::Text(text))) => session.take(&text).await,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    Some(Ok(_)) => {}
                },
                () = stopped(app.stop.clone()) => return,
            }
        }
    };
    tokio::join!(writer, reader);
}

struct Session {
    app: Shared,
    key: Option<Key>,
    /// Jobs whose end will be told.
    followed: HashSet<String>,
    sender: mpsc::Sender<Value>,
}

impl Session {
    async fn take(&mut self, text: &str) {
        let tasks = match serde_json::from_str::<Value>(text) {
            Ok(Value::Array(tasks)) => tasks,
            Ok(task @ Value::Object(_)) => vec![task],
            _ => {
                let failure = Failure::invalid("an array of tasks is needed");
                let _ = self.sender.send(error(&failure)).await;
                return;
            }
        };
        for task in tasks {
            let id = task["taskUUID"].as_str().map(str::to_string);
            let message = match self.perform(task).await {
                Ok(data) if data.iter().any(|item| item.get("code").is_some()) => json!({ "errors": data }),
                Ok(data) => json!({ "data": data }),
                Err(failure) => json!({ "errors": [fault_of(&failure, id.as_deref())] }),
            };
            let _ = self.sender.send(message).await;
        }
    }

    async fn perform(&mut self, task: Value) -> Result<Vec<Value>> {
        if task["taskType"] == "authentication" {
            self.key = Some(self.app.keys.check(&self.app.database, task["apiKey"].as_str()).await?);
        }
        if task["taskType"] == "ping" {
            return Ok(vec![json!({ "taskType": "ping", "pong": true })]);
        }
        let key =
            self.key.clone().ok_or_else(|| Failure::new(axum::http::StatusCode::UNAUTHORIZED, "unauthorized", "authenticate first"))?;
        let answer = perform(&self.app, &key, task).await?;
        if let Some(job) = answer.follow.filter(|job| self.followed.insert(job.id.clone())) {
            tokio::spawn(push(self.app.clone(), job.id, self.sender.clone()));
        }
        Ok(answer.data)
    }
}

/// Tells the end of a job to the connection that asked: clients wait for that, and poll seldom.
async fn push(app: Shared, id: String, sender: mpsc::Sender<Value>) {
    let ended = async {
        let mut changes = app.watch.follow(&app.database, &id).await.ok()?;
        changes.wait_for(|job| job.is_over()).await.ok().map(|job| job.clone())
    };
    let job = tokio::select! {
        job = ended => job,
        () = sender.closed() => None,
    };
    let Some(job) = job else { return };
    let Ok(items) = items(&app, &job).await else { return };
    let is_error = items.iter().any(|item| item.get("code").is_some());
    let _ = sender.send(if is_error { json!({ "errors": items }) } else { json!({ "data": items }) }).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(more: Value) -> Result<JobRequest> {
        let mut task = json!({ "inputs": { "referenceImages": ["a"], "referenceVideos": ["b"] } });
        if let (Some(task), Value::Object(more)) = (task.as_object_mut(), more) {
            task.extend(more);
        }
        job_request(&mut Fields::new(task)?).map(|(request, _)| request)
    }

    #[test]
    fn the_pages_defaults_stand() {
        let request = request(json!({})).expect("a request");
        assert_eq!((request.fps, request.steps, request.quality, request.count, request.overlap), (16.0, 30, 95, 1, 1));
        assert_eq!((request.format, request.mode, request.retarget, request.cache), (Format::Mp4, Mode::Animate, false, None));
    }

    #[test]
    fn caches_are_the_librarys_in_either_spelling() {
        let cached = |options| request(json!({ "acceleratorOptions": options }));
        let request = cached(json!({ "fbcache": true, "cacheStartStep": 2, "cacheStopStep": 8 })).expect("the client's spelling");
        assert_eq!(
            (request.cache.as_deref(), request.cache_start.as_deref(), request.cache_end.as_deref()),
            (Some("first-block:0.25"), Some("3"), Some("8"))
        );
        let request =
            cached(json!({ "teaCache": true, "teaCacheDistance": 0.3, "cacheEndStepPercentage": 80 })).expect("the page's spelling");
        assert_eq!((request.cache.as_deref(), request.cache_end.as_deref()), (Some("tea:0.3"), Some("80%")));
        assert!(request.cache().expect("the library reads it").is_some());
        assert_eq!(request.cache_max_consecutive, Some(3), "the page's default");
        assert!(cached(json!({ "fbCache": true, "dbCache": true })).is_err());
        assert!(cached(json!({ "fbCache": true, "fbCacheThreshold": 1.5 })).is_err());
    }

    #[test]
    fn what_there_is_not_is_refused_by_name() {
        for (field, more) in [
            ("deliveryMethod", json!({ "deliveryMethod": "sync" })),
            ("outputType", json!({ "outputType": ["dataURI"] })),
            ("outputFormat", json!({ "outputFormat": "GIF" })),
            ("lora.transformer", json!({ "lora": [{ "model": "a", "transformer": "high" }] })),
            ("acceleratorOptions.dbCacheSkipInterval", json!({ "acceleratorOptions": { "dbCacheSkipInterval": 3 } })),
            ("model", json!({ "model": "runware:1@1" })),
            ("inputs.referenceVideos", json!({ "inputs": { "referenceImages": ["a"] } })),
        ] {
            assert_eq!(request(more).expect_err(field).field.as_deref(), Some(field));
        }
    }
}
