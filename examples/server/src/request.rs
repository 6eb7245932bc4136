//! What a job is to do: the one type that every surface's requests become, checked before there is a job.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wan_animate::video::Effort;
use wan_animate::{Cache, Sampler};

use crate::config::Config;
use crate::error::{Failure, Result};

/// A job. Files (`image`, `video`, `pose`, `face`, `background`, `mask`) are `upload://ID`, an address of an upload, an https address, a data URI
/// or base64.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JobRequest {
    pub mode: Mode,
    /// The character.
    pub image: String,
    /// The driving video as it was filmed. Without it `pose` or `face` are needed.
    pub video: Option<String>,
    /// Pose drawings, made before.
    pub pose: Option<String>,
    /// Face crops, frame by frame with the pose.
    pub face: Option<String>,
    /// To replace with a pose and a face: the video without the person.
    pub background: Option<String>,
    /// To replace with a pose and a face: where the person was.
    pub mask: Option<String>,
    /// At most 2000 characters; by default the model's own.
    pub prompt: Option<String>,
    /// At most 2000 characters; of no effect with a guidance scale of 1.
    pub negative_prompt: Option<String>,
    /// A multiple of 16; goes with `height`.
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// 480p, 580p or 720p: the area, with the aspect of the driving video.
    pub resolution: Option<String>,
    /// About so many pixels, in place of `resolution`.
    #[schema(ignore)]
    pub area: Option<u64>,
    /// 4 to 60; 0 for the video's own.
    pub fps: f64,
    /// A random one where there is none.
    pub seed: Option<u64>,
    /// 1 to 100.
    pub steps: u32,
    /// From 0 on; above 1 each step costs a second pass.
    pub guidance_scale: Option<f64>,
    /// Above 0; by default the model's.
    pub shift: Option<f64>,
    /// Such as unipc or "DPM++ 2M Karras"; by default the model's.
    pub scheduler: Option<String>,
    /// Frames made at once, 4n + 1, 5 to 121; by default the server's.
    pub segment_frames: Option<usize>,
    /// Frames that a segment takes over from the one before, 1 to 5.
    pub overlap: usize,
    /// The whole video at once, by windows, in place of segments.
    pub windows: Option<Windows>,
    /// How far the colours of a segment are held to those of the one before, 0 to 1.
    pub color_anchor: Option<f64>,
    /// Frames to leave out at the start.
    pub frame_offset: usize,
    /// Frames to make at most.
    pub max_frames: Option<usize>,
    /// Videos of consecutive seeds, 1 to 4.
    pub count: u32,
    pub loras: Vec<LoraChoice>,
    /// Gives the poses the character's proportions; to animate alone.
    pub retarget: bool,
    pub mask_options: Option<MaskOptions>,
    /// Such as first-block:0.1 or tea:0.1: steps that are reused.
    pub cache: Option<String>,
    /// The first step that may be reused: a number from 1, or per cent as in 10%.
    pub cache_start: Option<String>,
    /// The last step that may be reused.
    pub cache_end: Option<String>,
    /// Steps reused in a row at most.
    pub cache_max_consecutive: Option<usize>,
    /// Frames by a tiny decoder: soon there, with faults in faces and fine detail.
    pub draft: bool,
    pub format: Format,
    /// 1 to 100.
    pub quality: u8,
    /// fast, balanced or small.
    pub effort: Option<String>,
    pub audio: Sound,
    pub safety: SafetyMode,
    /// Called at the end, and again until it answers.
    pub webhook: Option<String>,
    /// The result is PUT there, too.
    pub upload_to: Option<String>,
    /// Seconds that the result is kept, at least 60.
    pub ttl: Option<i64>,
    pub include_cost: bool,
    /// 0 to 9, at most what the key allows; higher ones are first.
    pub priority: i64,
}

impl Default for JobRequest {
    fn default() -> Self {
        Self {
            mode: Mode::Animate,
            image: String::new(),
            video: None,
            pose: None,
            face: None,
            background: None,
            mask: None,
            prompt: None,
            negative_prompt: None,
            width: None,
            height: None,
            resolution: None,
            area: None,
            fps: 0.0,
            seed: None,
            steps: 20,
            guidance_scale: None,
            shift: None,
            scheduler: None,
            segment_frames: None,
            overlap: 1,
            windows: None,
            color_anchor: None,
            frame_offset: 0,
            max_frames: None,
            count: 1,
            loras: Vec::new(),
            retarget: false,
            mask_options: None,
            cache: None,
            cache_start: None,
            cache_end: None,
            cache_max_consecutive: None,
            draft: false,
            format: Format::Mp4,
            quality: 90,
            effort: None,
            audio: Sound::Keep,
            safety: SafetyMode::None,
            webhook: None,
            upload_to: None,
            ttl: None,
            include_cost: false,
            priority: 0,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    #[default]
    Animate,
    Replace,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    #[default]
    Mp4,
    Mov,
    Webm,
    Gif,
    /// A ZIP of PNG files.
    Frames,
}

impl Format {
    pub fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Mov => "mov",
            Self::Webm => "webm",
            Self::Gif => "gif",
            Self::Frames => "zip",
        }
    }

    pub fn content_type(extension: &str) -> &'static str {
        match extension {
            "mov" => "video/quicktime",
            "webm" => "video/webm",
            "gif" => "image/gif",
            "zip" => "application/zip",
            _ => "video/mp4",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sound {
    #[default]
    Keep,
    None,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SafetyMode {
    #[default]
    None,
    Fast,
    Full,
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoraChoice {
    /// One that the server has.
    pub name: String,
    /// -4 to 4.
    #[serde(default = "one")]
    pub weight: f32,
}

fn one() -> f32 {
    1.0
}

/// Windows of a video that is denoised as one.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Windows {
    /// 4n + 1, 5 to 121.
    pub frames: usize,
    /// Frames that two have in common, 4n.
    pub overlap: usize,
}

/// How the mask of a person who is replaced grows.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MaskOptions {
    /// 1 to 10.
    pub iterations: u32,
    /// 3 to 15.
    pub kernel_size: u32,
    /// 1 to 5.
    pub w_subdivisions: u32,
    /// 1 to 5.
    pub h_subdivisions: u32,
}

impl Default for MaskOptions {
    fn default() -> Self {
        Self { iterations: 3, kernel_size: 7, w_subdivisions: 1, h_subdivisions: 1 }
    }
}

fn within<T: PartialOrd + std::fmt::Display>(field: &str, value: T, low: T, high: T) -> Result<()> {
    if value >= low && value <= high {
        return Ok(());
    }
    Err(Failure::field(field, format!("`{field}` is {value}; it goes from {low} to {high}")))
}

impl JobRequest {
    /// Every file with its field's name.
    pub fn files_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut String)> {
        let Self { image, video, pose, face, background, mask, .. } = self;
        let others = [("video", video), ("pose", pose), ("face", face), ("background", background), ("mask", mask)];
        std::iter::once(("image", image)).chain(others.into_iter().filter_map(|(name, file)| Some((name, file.as_mut()?))))
    }

    pub fn files(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let Self { image, video, pose, face, background, mask, .. } = self;
        let others = [("video", video), ("pose", pose), ("face", face), ("background", background), ("mask", mask)];
        std::iter::once(("image", image.as_str())).chain(others.into_iter().filter_map(|(name, file)| Some((name, file.as_deref()?))))
    }

    /// All that can be known before there is a worker.
    pub fn check(&self, config: &Config) -> Result<()> {
        self.check_inputs()?;
        self.check_size(config)?;
        self.check_numbers(config)?;
        self.check_names(config)
    }

    fn check_inputs(&self) -> Result<()> {
        if self.image.is_empty() {
            return Err(Failure::field("image", "`image` is missing, the character"));
        }
        if self.video.is_none() && self.pose.is_none() && self.face.is_none() {
            return Err(Failure::field("video", "`video` is missing, or `pose` and `face`"));
        }
        if self.mode == Mode::Replace && self.video.is_none() && (self.background.is_none() || self.mask.is_none()) {
            return Err(Failure::field("video", "to replace, `video` is needed, or `pose`, `face`, `background` and `mask`"));
        }
        for (field, text) in [("prompt", &self.prompt), ("negative_prompt", &self.negative_prompt)] {
            if text.as_ref().is_some_and(|text| text.chars().count() > 2000) {
                return Err(Failure::field(field, format!("`{field}` has more than 2000 characters")));
            }
        }
        Ok(())
    }

    fn check_size(&self, config: &Config) -> Result<()> {
        match (self.width, self.height) {
            (None, None) => {}
            (Some(width), Some(height)) => {
                for (field, side) in [("width", width), ("height", height)] {
                    if side == 0 || side % 16 != 0 {
                        return Err(Failure::field(field, format!("`{field}` is {side}; it is a multiple of 16")));
                    }
                }
                if u64::from(width) * u64::from(height) > config.max_pixels {
                    let message = format!("{width}x{height} is more than this server's {} pixels", config.max_pixels);
                    return Err(Failure {
                        status: axum::http::StatusCode::UNPROCESSABLE_ENTITY,
                        code: "limits",
                        ..Failure::field("width", message)
                    });
                }
            }
            _ => return Err(Failure::field("width", "`width` and `height` go together")),
        }
        match &self.resolution {
            Some(_) if self.width.is_some() => Err(Failure::field("resolution", "`resolution` does not go with `width` and `height`")),
            Some(name) if !config.areas.contains_key(name) => {
                let names = config.areas.keys().cloned().collect::<Vec<_>>().join(", ");
                Err(Failure::field("resolution", format!("`resolution` is {name:?}; there are {names}")))
            }
            _ => Ok(()),
        }
    }

    fn check_numbers(&self, config: &Config) -> Result<()> {
        if self.fps != 0.0 {
            within("fps", self.fps, 4.0, 60.0)?;
        }
        within("steps", self.steps, 1, 100)?;
        within("guidance_scale", self.guidance_scale.unwrap_or(1.0), 0.0, 100.0)?;
        within("shift", self.shift.unwrap_or(5.0), f64::MIN_POSITIVE, 100.0)?;
        within("overlap", self.overlap, 1, 5)?;
        within("count", self.count, 1, 4)?;
        within("quality", self.quality, 1, 100)?;
        within("ttl", self.ttl.unwrap_or(60), 60, 10 * 366 * 86_400)?;
        within("priority", self.priority, 0, 9)?;
        within("max_frames", self.max_frames.unwrap_or(1), 1, config.max_frames)?;
        within("frame_offset", self.frame_offset, 0, config.max_frames)?;
        within("seed", self.seed.unwrap_or(0), 0, i64::MAX as u64)?;
        if let Some(frames) = self.segment_frames {
            within("segment_frames", frames, 5, 121)?;
            if frames % 4 != 1 {
                return Err(Failure::field("segment_frames", format!("`segment_frames` is {frames}; it is 4n + 1")));
            }
        }
        within("color_anchor", self.color_anchor.unwrap_or(0.0), 0.0, 1.0)?;
        self.windows.map_or(Ok(()), |windows| self.check_windows(windows))?;
        if let Some(mask) = self.mask_options {
            within("mask_options.iterations", mask.iterations, 1, 10)?;
            within("mask_options.kernel_size", mask.kernel_size, 3, 15)?;
            within("mask_options.w_subdivisions", mask.w_subdivisions, 1, 64)?;
            within("mask_options.h_subdivisions", mask.h_subdivisions, 1, 64)?;
        }
        self.loras.iter().try_for_each(|lora| within("loras.weight", lora.weight, -4.0, 4.0))
    }

    fn check_windows(&self, windows: Windows) -> Result<()> {
        within("windows.frames", windows.frames, 5, 121)?;
        within("windows.overlap", windows.overlap, 4, windows.frames - 1)?;
        if windows.frames % 4 != 1 || !windows.overlap.is_multiple_of(4) {
            return Err(Failure::field("windows", "`windows`: `frames` is 4n + 1, and `overlap` 4n"));
        }
        if self.cache.as_ref().is_some_and(|cache| !cache.starts_with("easy")) {
            return Err(Failure::unsupported("cache", "`cache`: with `windows` there is easy"));
        }
        Ok(())
    }

    fn check_names(&self, config: &Config) -> Result<()> {
        let parse = |field: &str, error: String| Failure::field(field, error);
        if let Some(name) = &self.scheduler {
            name.parse::<Sampler>().map_err(|error| parse("scheduler", error.to_string()))?;
        }
        self.cache().map_err(|error| parse("cache", error.to_string()))?;
        if let Some(text) = &self.effort {
            text.parse::<Effort>().map_err(|error| parse("effort", error.to_string()))?;
        }
        if let Some(lora) = self.loras.iter().find(|lora| !config.loras.contains_key(&lora.name)) {
            return Err(Failure::field("loras", format!("this server has no LoRA {:?}", lora.name)));
        }
        if self.retarget && self.mode == Mode::Replace {
            return Err(Failure::unsupported(
                "retarget",
                "poses are retargeted where a character is animated, not where it replaces a person",
            ));
        }
        if self.safety != SafetyMode::None && config.safety_network.is_none() {
            return Err(Failure::unsupported("safety", "this server has no classifier"));
        }
        if self.draft && config.draft_decoder.is_none() {
            return Err(Failure::unsupported("draft", "this server has no tiny decoder for drafts"));
        }
        if self.format == Format::Webm && !cfg!(feature = "webm") {
            return Err(Failure::unsupported("format", "this server was built without WebM; there are mp4, mov, gif and frames"));
        }
        Ok(())
    }

    /// The steps that are reused.
    pub fn cache(&self) -> wan_animate::Result<Option<Cache>> {
        let Some(method) = &self.cache else { return Ok(None) };
        let mut cache: Cache = method.parse()?;
        cache.start = self.cache_start.as_deref().map(str::parse).transpose()?;
        cache.end = self.cache_end.as_deref().map(str::parse).transpose()?;
        cache.max_consecutive = self.cache_max_consecutive;
        Ok(Some(cache))
    }

    /// About how many pixels a frame is to have, and whether that is less than was asked for. None where the size is said.
    pub fn area(&self, config: &Config) -> Option<(u64, bool)> {
        if self.width.is_some() {
            return None;
        }
        let name = self.resolution.as_deref().unwrap_or("480p");
        let wanted = self.area.or_else(|| config.areas.get(name).copied()).unwrap_or(832 * 480);
        let allowed = config.largest_area.unwrap_or(u64::MAX);
        Some((wanted.min(allowed), wanted > allowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> JobRequest {
        JobRequest { image: "upload://a".into(), video: Some("upload://b".into()), ..JobRequest::default() }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let config = Config::default();
        assert!(request().check(&config).is_ok());
        let cases: [(&str, JobRequest); 16] = [
            ("image", JobRequest { image: String::new(), ..request() }),
            ("video", JobRequest { video: None, ..request() }),
            ("width", JobRequest { width: Some(16), ..request() }),
            ("height", JobRequest { width: Some(16), height: Some(17), ..request() }),
            ("resolution", JobRequest { resolution: Some("481p".into()), ..request() }),
            ("fps", JobRequest { fps: 61.0, ..request() }),
            ("steps", JobRequest { steps: 0, ..request() }),
            ("segment_frames", JobRequest { segment_frames: Some(6), ..request() }),
            ("scheduler", JobRequest { scheduler: Some("best".into()), ..request() }),
            ("cache", JobRequest { cache: Some("best".into()), ..request() }),
            ("windows", JobRequest { windows: Some(Windows { frames: 16, overlap: 4 }), ..request() }),
            ("windows.overlap", JobRequest { windows: Some(Windows { frames: 17, overlap: 17 }), ..request() }),
            ("color_anchor", JobRequest { color_anchor: Some(1.5), ..request() }),
            ("draft", JobRequest { draft: true, ..request() }),
            ("safety", JobRequest { safety: SafetyMode::Fast, ..request() }),
            ("retarget", JobRequest { retarget: true, mode: Mode::Replace, ..request() }),
        ];
        for (field, request) in cases {
            let error = request.check(&config).expect_err(field);
            assert_eq!(error.field.as_deref(), Some(field), "{error}");
        }
    }

    #[test]
    fn sizes_that_a_server_cannot_make_become_smaller() {
        let config = Config { largest_area: Some(9216), ..Config::default() };
        assert_eq!(request().area(&config), Some((9216, true)));
        assert_eq!(request().area(&Config::default()), Some((832 * 480, false)));
    }
}
