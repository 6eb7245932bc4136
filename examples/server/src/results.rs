//! From frames to results: looked at, encoded, stored, and sent where the client wants them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reqwest::Method;

use crate::clock::in_time;
use crate::encode;
use crate::error::{Failure, Result};
use crate::generate::Files;
use crate::job::{Media, Output};
use crate::leases::Ending;
use crate::request::{Format, SafetyMode};
use crate::run::{Run, Stop, frame_path};
use crate::store::Written;

impl Run<'_> {
    pub async fn encode(&mut self, files: Files, size: (u32, u32), begun: Instant) -> Result<Ending, Stop> {
        let kept = self.request.ttl.unwrap_or(self.app().config.ttl);
        let expires = in_time(Duration::from_secs(kept as u64));
        let mut outputs = Vec::new();
        for n in 0..self.request.count as usize {
            let path = self.folder.join(format!("result-{n}.{}", self.request.format.extension()));
            let frames: Vec<_> = (0..self.at.total_frames as usize)
                .map(|frame| frame_path(&self.folder, n * self.at.total_frames as usize + frame))
                .collect();
            let flagged = self.look(n, &frames).await?;
            self.write(&files, frames, &path).await?;
            let key = self.key(&format!("result-{n}.{}", self.request.format.extension()));
            let (app, to, from) = (self.worker.app.clone(), key.clone(), path.clone());
            let written = self.holding(async move { app.store.put_file(&to, &from).await }).await??;
            if n == 0 {
                self.upload(&path).await?;
            }
            outputs.push(self.output(n, key, size, flagged, &written, expires));
        }
        let cost = self.cost(size);
        Ok(Ending::Completed { outputs, inference_ms: begun.elapsed().as_millis() as i64, cost, expires })
    }

    async fn write(&mut self, files: &Files, frames: Vec<PathBuf>, path: &Path) -> Result<(), Stop> {
        let (request, files, fps, to) = (self.request.clone(), files.clone(), self.at.fps, path.to_path_buf());
        let encode = tokio::task::spawn_blocking(move || encode::encode(&request, &files, &frames, fps, &to));
        let warnings = self.holding(encode).await?.map_err(|error| Stop::Retry(error.to_string()))??;
        self.warnings.extend(warnings.into_iter().map(String::from));
        Ok(())
    }

    /// Asks the classifier, where that is wanted.
    async fn look(&mut self, n: usize, frames: &[PathBuf]) -> Result<Option<bool>, Stop> {
        if self.request.safety == SafetyMode::None {
            return Ok(None);
        }
        let folder = self.folder.join(format!("video-{n}"));
        std::fs::create_dir_all(&folder).map_err(Failure::internal)?;
        for (number, frame) in frames.iter().enumerate() {
            std::fs::copy(frame, folder.join(format!("{number:06}.png"))).map_err(Failure::internal)?;
        }
        let (engine, request, cancel) = (self.worker.engine.clone(), self.request.clone(), self.cancel.clone());
        let looked = self.holding(async move { engine.call(move |engine| engine.flagged(&request, &folder, &cancel)).await }).await?;
        looked.unwrap_or(Ok(None)).map_err(Stop::from)
    }

    /// The result goes to where the client wants it, too. Where that does not work, the job is done all the same.
    async fn upload(&mut self, path: &Path) -> Result<(), Stop> {
        let Some(url) = self.request.upload_to.clone() else { return Ok(()) };
        let (app, path) = (self.worker.app.clone(), path.to_path_buf());
        let kind = Format::content_type(self.request.format.extension()).to_string();
        let upload = async move {
            for attempt in 1..4 {
                let body = tokio::fs::read(&path).await.map_err(Failure::internal)?;
                let headers = [("content-type".to_string(), kind.clone())];
                let sent = app.fetch.send(Method::PUT, &url, &headers, body, Some(Duration::from_secs(300))).await;
                if sent.is_ok_and(|status| (200..300).contains(&status)) {
                    return Ok::<_, Failure>(true);
                }
                tokio::time::sleep(Duration::from_millis(300 * attempt)).await;
            }
            Ok(false)
        };
        if !self.holding(upload).await?? {
            self.warnings.push("upload_failed".into());
        }
        Ok(())
    }

    fn output(&self, n: usize, file: String, size: (u32, u32), flagged: Option<bool>, written: &Written, expires: i64) -> Output {
        let media = Media {
            seed: self.job.seed + n as i64,
            format: self.request.format.extension().into(),
            bytes: written.bytes as i64,
            sha256: written.sha256.clone(),
            width: size.0.into(),
            height: size.1.into(),
            frames: self.at.total_frames,
            fps: self.at.fps,
        };
        let (id, job_id) = (uuid::Uuid::new_v4().to_string(), self.job.id.clone());
        Output { id, job_id, n: n as i64, file, media, flagged: flagged.map(i64::from), expires }
    }

    /// By the resolution that comes nearest to what was made.
    fn cost(&self, (width, height): (u32, u32)) -> Option<f64> {
        let config = &self.app().config;
        let away = |area: &u64| (*area as f64 / (f64::from(width) * f64::from(height))).ln().abs();
        let (name, _) = config.areas.iter().min_by(|(_, one), (_, other)| away(one).total_cmp(&away(other)))?;
        let seconds = self.at.total_frames as f64 / self.at.fps * f64::from(self.request.count);
        config.prices.get(name).map(|price| (price * seconds * 1e6).round() / 1e6)
    }
}
