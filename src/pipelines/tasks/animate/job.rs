//! What Animate's model is shown: reference, carried frames, background, mask, pose and face.

use std::ops::Range;
use std::sync::Arc;

use image::RgbImage;

use crate::driving::{self, Findings, Stride};
use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::models::dit::animate::{Animate, Driving, FaceBlock, Pose};
use crate::models::dit::{cache::work::Work, face_adapter::Face, prediction::Prediction, session::Session};
use crate::models::vae::tiling::Encoding;
use crate::ops::{copy::concat, copy::join_inner, copy::slice, lincomb::lincomb, pixels::pixels, pixels::signed};
use crate::pipelines::checkpoint::parts::Parts;
use crate::pipelines::run::{
    arrangement::Arrangement, canvas::Canvas, conditioning::fold_after_reference, conditioning::keep, description::Description,
    event::Stage, job::Job, job::unprepared, latents, settings::Settings, windows,
};
use crate::pipelines::tasks::animate::{inputs::Inputs, inputs::Role};
use crate::video::{Frames, resize::Filter, resize::resize};

/// Pixels of a latent pixel's side.
pub const SCALE: usize = 8;

pub struct AnimateJob {
    parts: Arc<Parts<Animate>>,
    inputs: Inputs,
    /// Of a raw video, from when it begins until it is done.
    driving: Option<driving::Preparation>,
    findings: Findings,
    arrangement: Arrangement,
    /// With its prompts once these are encoded.
    session: Session<FaceBlock>,
    canvas: Canvas,
    /// The prompt, and the negative one where there is guidance.
    prompts: Vec<String>,
    guidance_scale: f64,
    /// Embeddings of the prompts, until the session has them.
    texts: Vec<Tensor>,
    shared: Option<Shared>,
    preparation: Option<Preparation>,
    window: Option<Window>,
}

/// What all segments of all videos share.
struct Shared {
    /// Latents [C, 1, H, W] of the reference.
    reference: Tensor,
    /// The motion vector of an empty face, where one is looked at.
    no_face: Option<Tensor>,
}

/// A window on its way.
struct Preparation {
    /// A frame of the background, and what is encoded of it, until the conditioning is there.
    grey: Option<Tensor>,
    video: Option<Encoding>,
    conditioning: Option<Tensor>,
    poses: Option<Encoding>,
    pose: Option<Pose>,
    /// By batch of face frames.
    motion: Vec<Tensor>,
}

/// What one segment's steps look at.
struct Window {
    conditioning: Tensor,
    /// All of it, or several parts that overlap.
    views: Vec<View>,
}

/// What a pass of the model looks at beside the latents.
struct View {
    /// Latent frames, not counting the reference.
    frames: Range<usize>,
    pose: Pose,
    /// The segment's, and an empty one where there is guidance.
    faces: Vec<Face>,
}

impl Job for AnimateJob {
    fn describe(&self, description: &mut Description) -> Result<()> {
        description.set("prompts", self.prompts.join(" | "));
        description.set("guidance scale", self.guidance_scale);
        description.set("segment frames", self.canvas.segments.segment_frames());
        description.set("overlap", self.canvas.segments.overlap());
        if let Some(windows) = self.canvas.windows {
            description.set("windows", format!("{windows:?}"));
        }
        self.inputs.describe(description)
    }

    fn has_raw_video(&self) -> bool {
        self.inputs.raw.is_some()
    }

    fn preprocess(&mut self) -> Result<Stride> {
        let mut preparation = match self.driving.take() {
            Some(preparation) => preparation,
            None => self.begin_preparation()?,
        };
        let stride = preparation.step()?;
        self.findings = preparation.findings().clone();
        match &stride {
            Stride::On(..) => self.driving = Some(preparation),
            Stride::Over(conditions) => {
                conditions.iter().try_for_each(|conditions| Role::of(conditions).map(|role| self.inputs.role = role))?;
            }
        }
        Ok(stride)
    }

    fn findings(&self) -> Findings {
        self.findings.clone()
    }

    fn encode(&mut self, rec: &mut Recorder, piece: usize) -> Result<usize> {
        match piece {
            0 => {
                self.enter(Stage::Encoding);
                self.texts = self.parts.text_embeddings(rec, &self.prompts)?;
            }
            1 => self.add_prompts(rec)?,
            _ => self.shared = Some(self.share(rec)?),
        }
        Ok(3)
    }

    fn condition(&mut self, rec: &mut Recorder, k: usize, carried: Option<&[f32]>, piece: usize) -> Result<usize> {
        if piece == 0 {
            if self.window.is_some() && self.canvas.segments.count() == 1 {
                // The next video's only segment looks at what the last one's did.
                return Ok(1);
            }
            self.enter(Stage::Conditioning { segment: k });
            self.preparation = Some(self.prepare(rec)?);
        }
        let mut preparation = self.preparation.take().ok_or_else(unprepared)?;
        match self.go_on(rec, k, carried, &mut preparation)? {
            Some(window) => {
                self.window = Some(window);
                Ok(piece + 1)
            }
            None => {
                self.preparation = Some(preparation);
                Ok(self.pieces().max(piece + 2))
            }
        }
    }

    fn branches(&self) -> usize {
        self.prompts.len()
    }

    fn predict(&mut self, rec: &mut Recorder, branch: usize, latents: &Tensor, timestep: f64, work: Work) -> Result<Prediction> {
        self.enter(Stage::Denoising { segment: 0 });
        let Some(Window { conditioning, views }) = &mut self.window else { return Err(unprepared()) };
        let ranges: Vec<_> = views.iter().map(|view| view.frames.clone()).collect();
        let (mut said, mut last) = (Vec::new(), None);
        for View { frames, pose, faces } in views {
            let input = match ranges.len() {
                1 => concat(rec, &[latents, conditioning])?,
                _ => {
                    let (latents, conditioning) = (windows::view(rec, latents, frames)?, windows::view(rec, conditioning, frames)?);
                    concat(rec, &[&latents, &conditioning])?
                }
            };
            let face = faces.get_mut(branch).ok_or_else(unprepared)?;
            let driving = Driving { pose, face };
            let prediction = self.parts.transformer.predict(rec, &mut self.session, branch, &input, timestep, work, driving)?;
            said.push(prediction.velocity.clone());
            last = Some(prediction);
        }
        let prediction = last.ok_or_else(unprepared)?;
        match ranges.len() {
            1 => Ok(prediction),
            _ => Ok(Prediction { velocity: windows::fuse(rec, &ranges, &said, self.canvas.latents[1] - 1)?, ..prediction }),
        }
    }

    fn guidance_scale(&self) -> f64 {
        self.guidance_scale
    }

    fn decode(&mut self) {
        self.enter(Stage::Decoding { segment: 0 });
    }

    fn finished(&self, mut frames: Vec<Tensor>) -> Vec<Tensor> {
        // The reference's own frame is not part of the video.
        frames.remove(0);
        frames
    }
}

impl AnimateJob {
    pub fn new(parts: Arc<Parts<Animate>>, inputs: Inputs, settings: &Settings, canvas: Canvas, arrangement: Arrangement) -> Self {
        let (guidance_scale, inputs) = (settings.guidance_scale.unwrap_or(1.0), inputs.shown(canvas.size));
        let prompts = settings.prompts(guidance_scale > 1.0, "");
        let session = parts.transformer.dit().session(arrangement.options);
        Self {
            parts,
            inputs,
            driving: None,
            findings: settings.resume.as_ref().map(|state| state.findings.clone()).unwrap_or_default(),
            arrangement,
            session,
            canvas,
            prompts,
            guidance_scale,
            texts: Vec::new(),
            shared: None,
            preparation: None,
            window: None,
        }
    }

    /// A raw video is prepared in the size that is generated.
    fn begin_preparation(&mut self) -> Result<driving::Preparation> {
        self.enter(Stage::Preprocessing);
        let ((width, height), raw) = (self.canvas.size, self.inputs.raw.as_ref().ok_or_else(unprepared)?);
        let driving = raw.driving.clone().sized(width as u32, height as u32);
        Ok(driving.prepared(raw.purpose.clone(), &self.parts.device)?.with_findings(self.findings.clone()))
    }

    /// The session takes over what the prompts and the reference are to the model.
    fn add_prompts(&mut self, rec: &mut Recorder) -> Result<()> {
        let (width, height) = self.canvas.size;
        let shown = self.parts.rules.shown_to_clip(&self.inputs.reference, width as u32, height as u32)?;
        let image = self.parts.image_embeddings(rec, &[&*shown])?;
        let dit = self.parts.transformer.dit();
        let texts = std::mem::take(&mut self.texts);
        texts.iter().try_for_each(|text| dit.add_prompt(rec, &mut self.session, text, image.as_ref()))
    }

    fn share(&self, rec: &mut Recorder) -> Result<Shared> {
        let (width, height) = self.canvas.size;
        let letterboxed = || self.parts.rules.letterbox(&self.inputs.reference, width as u32, height as u32).map(RgbImage::into_raw);
        let reference = pixels(rec, &[height, width, 3], letterboxed, signed)?;
        let reference = self.encode_frames(rec, 1, |_, _| Ok(reference.clone()))?;
        let is_looked_at = self.prompts.len() > 1 || self.is_face_mixed() || self.inputs.face().is_none();
        let no_face = is_looked_at.then(|| self.no_face(rec)).transpose()?;
        Ok(Shared { reference, no_face })
    }

    /// Before a stage: what it has no room for leaves the GPU.
    fn enter(&mut self, stage: Stage) {
        self.session.keep(self.arrangement.resident(stage));
    }

    /// Of a segment's conditioning: each latent frame of the background and of the poses, each batch of faces, and all of it.
    fn pieces(&self) -> usize {
        let (video, count) = (self.canvas.latents[1] - 1, self.canvas.segments.segment_frames());
        let poses = if self.inputs.pose().is_some() { video } else { 0 };
        let faces = self.inputs.face().map_or(0, |_| count.div_ceil(self.parts.transformer.config().motion_encoder_batch_size));
        video + poses + faces + 1
    }

    fn prepare(&self, rec: &mut Recorder) -> Result<Preparation> {
        let (width, height) = self.canvas.size;
        Ok(Preparation {
            // The same tensor again and again, which the encoder knows how to use.
            grey: Some(rec.zeros(&[height, width, 3])?),
            video: Some(self.encoding()),
            conditioning: None,
            poses: self.inputs.pose().map(|_| self.encoding()),
            pose: None,
            motion: Vec::new(),
        })
    }

    fn encoding(&self) -> Encoding {
        let Canvas { size: (width, height), tiling, segments, .. } = self.canvas;
        self.parts.vae.encoding(tiling, [height, width], segments.segment_frames())
    }

    /// One piece; the window after the last.
    fn go_on(&self, rec: &mut Recorder, k: usize, carried: Option<&[f32]>, preparation: &mut Preparation) -> Result<Option<Window>> {
        let Preparation { grey, video, conditioning, poses, pose, motion } = preparation;
        if let (Some(encoding), Some(grey_frame)) = (video.as_mut(), &grey) {
            if !encoding.next(rec, &mut |rec, i| self.video_frame(rec, k, carried, i, grey_frame))? {
                let latents = video.take().map(Encoding::into_latents).unwrap_or_default();
                *conditioning = Some(self.conditioning(rec, k, &latents)?);
                *grey = None;
            }
            return Ok(None);
        }
        if let (Some(encoding), Some(frames)) = (poses.as_mut(), self.inputs.pose()) {
            if !encoding.next(rec, &mut |rec, i| self.input_frame(rec, frames, k, i, self.canvas.size))? {
                let latents = poses.take().map(Encoding::into_latents).unwrap_or_default();
                let latents = latents::join(rec, &latents)?;
                let latents = self.followed(rec, latents)?;
                *pose = Some(self.parts.transformer.pose(rec, &latents)?);
            }
            return Ok(None);
        }
        if pose.is_none() {
            *pose = Some(self.no_pose(rec)?);
        }
        if self.next_faces(rec, k, motion)? {
            return Ok(None);
        }
        let faces = self.faces(rec, motion)?;
        let (Some(conditioning), Some(pose)) = (conditioning.take(), pose.take()) else { return Ok(None) };
        Ok(Some(Window { conditioning, views: self.views(rec, &pose, &faces)? }))
    }

    /// What passes look at, of the whole pose and tokens of whole faces.
    fn views(&self, rec: &mut Recorder, pose: &Pose, faces: &[Tensor]) -> Result<Vec<View>> {
        let all = self.canvas.latents[1] - 1;
        let ranges = self.canvas.windows.map_or_else(|| std::iter::once(0..all).collect(), |windows| windows.of(all));
        let view = |frames: Range<usize>| {
            let is_whole = frames.len() == all;
            let pose = if is_whole { pose.clone() } else { pose.of(rec, &frames)? };
            let own = |tokens: &Tensor| {
                let own = if is_whole { tokens.clone() } else { slice(rec, tokens, frames.start, frames.len())? };
                self.parts.transformer.face_keys(rec, &own)
            };
            let faces = faces.iter().map(own).collect::<Result<_>>()?;
            Ok(View { frames, pose, faces })
        };
        ranges.into_iter().map(view).collect()
    }

    /// See [`conditioning`](crate::pipelines::run::conditioning). `video` are latent frames of the carried frames and of what follows them.
    fn conditioning(&self, rec: &mut Recorder, k: usize, video: &[Tensor]) -> Result<Tensor> {
        let [_, frames, rows, cols] = self.canvas.latents;
        let video = latents::join(rec, video)?;
        let mask = rec.upload_with(&[4, frames, rows, cols], || {
            let masks = (0..self.canvas.segments.segment_frames()).map(|i| self.keep_mask(k, i, rows * cols));
            Ok(fold_after_reference(&masks.collect::<Result<Vec<_>>>()?))
        })?;
        let latents = join_inner(rec, &[(&self.shared()?.reference, 0..1), (&video, 0..frames - 1)])?;
        concat(rec, &[&mask, &latents])
    }

    /// Frame `i` of the carried ones and of what follows them.
    fn video_frame(&self, rec: &mut Recorder, k: usize, carried: Option<&[f32]>, i: usize, grey: &Tensor) -> Result<Tensor> {
        let (width, height) = self.canvas.size;
        match (carried, &self.inputs.role) {
            (Some(carried), _) if i < self.canvas.segments.carried(k) => {
                let values = height * width * 3;
                rec.upload_with(&[height, width, 3], || Ok(carried[i * values..][..values].to_vec()))
            }
            (_, Role::Replace(scene)) => self.input_frame(rec, scene.background(), k, i, self.canvas.size),
            (_, Role::Animate(_)) => Ok(grey.clone()),
        }
    }

    /// Latents [C, T, H, W] of `count` frames.
    fn encode_frames(&self, rec: &mut Recorder, count: usize, frame: impl FnMut(&mut Recorder, usize) -> Result<Tensor>) -> Result<Tensor> {
        let Canvas { size: (width, height), tiling, .. } = self.canvas;
        let encoded = self.parts.vae.encode_frames(rec, tiling, [height, width], count, frame)?;
        latents::join(rec, &encoded)
    }

    /// Frame `i` of segment `k` of an input video, as [H, W, 3] in [-1, 1].
    fn input_frame(&self, rec: &mut Recorder, video: &Frames, k: usize, i: usize, (width, height): (usize, usize)) -> Result<Tensor> {
        let resized = || {
            resize(&video.read(self.canvas.segments.source(k, i))?, width as u32, height as u32, Filter::Lanczos).map(RgbImage::into_raw)
        };
        pixels(rec, &[height, width, 3], resized, signed)
    }

    /// What to keep of frame `i`, [H, W] in latent pixels.
    fn keep_mask(&self, k: usize, i: usize, pixels: usize) -> Result<Vec<f32>> {
        let (width, height) = self.canvas.size;
        match &self.inputs.role {
            _ if i < self.canvas.segments.carried(k) => Ok(vec![1.0; pixels]),
            Role::Animate(_) => Ok(vec![0.0; pixels]),
            Role::Replace(scene) => {
                let mask = self.parts.rules.mask(&scene.read_mask(self.canvas.segments.source(k, i))?, width as u32, height as u32)?;
                Ok(keep(&mask, width, SCALE))
            }
        }
    }

    fn no_pose(&self, rec: &mut Recorder) -> Result<Pose> {
        let [channels, frames, rows, cols] = self.canvas.latents;
        let latents = rec.zeros(&[channels, frames - 1, rows, cols])?;
        self.parts.transformer.pose(rec, &latents)
    }

    /// Tokens of the faces that steps look at, of motion vectors of the segment's face frames; the faces are empty where there are none.
    fn faces(&self, rec: &mut Recorder, vectors: &[Tensor]) -> Result<Vec<Tensor>> {
        let count = self.canvas.segments.segment_frames();
        let empty = self.shared()?.no_face.as_ref().map(|no_face| concat(rec, &vec![no_face; count])).transpose()?;
        let mut motion = if vectors.is_empty() { None } else { Some(concat(rec, &vectors.iter().collect::<Vec<_>>())?) };
        if let (Some(own), Some(empty), true) = (&motion, &empty, self.is_face_mixed()) {
            let strength = self.inputs.face_strength;
            motion = Some(lincomb(rec, &[(strength, own), (1.0 - strength, empty)], DType::F32)?);
        }
        let motions = [motion.or_else(|| empty.clone()), empty];
        motions.iter().flatten().take(self.prompts.len()).map(|motion| self.parts.transformer.face_tokens(rec, motion)).collect()
    }

    /// Latents of the pose as strongly as it is followed: none of them is an absent pose, whose latents are zero.
    fn followed(&self, rec: &mut Recorder, pose: Tensor) -> Result<Tensor> {
        match self.inputs.pose_strength {
            1.0 => Ok(pose),
            strength => lincomb(rec, &[(strength, &pose)], DType::F32),
        }
    }

    /// Whether motion vectors lie between those of the face and those of an empty one, or beyond.
    fn is_face_mixed(&self) -> bool {
        self.inputs.face().is_some() && self.inputs.face_strength != 1.0
    }

    /// The motion vector of an empty face.
    fn no_face(&self, rec: &mut Recorder) -> Result<Tensor> {
        let side = self.parts.transformer.config().motion_encoder_size;
        let face = rec.upload_with(&[1, side, side, 3], || Ok(vec![-1.0; side * side * 3]))?;
        self.parts.transformer.motion(rec, &face)
    }

    /// Adds motion vectors of the segment's next face frames, a few at a time; whether there were any left.
    fn next_faces(&self, rec: &mut Recorder, k: usize, vectors: &mut Vec<Tensor>) -> Result<bool> {
        let config = self.parts.transformer.config();
        let (side, batch) = (config.motion_encoder_size, config.motion_encoder_batch_size);
        let (first, count) = (vectors.len() * batch, self.canvas.segments.segment_frames());
        let Some(video) = self.inputs.face().filter(|_| first < count) else { return Ok(false) };
        let frames = (first..count.min(first + batch)).map(|i| self.input_frame(rec, video, k, i, (side, side)));
        let frames = frames.map(|frame| Ok(frame?.reshape(&[1, side, side, 3]))).collect::<Result<Vec<_>>>()?;
        let frames = concat(rec, &frames.iter().collect::<Vec<_>>())?;
        vectors.push(self.parts.transformer.motion(rec, &frames)?);
        Ok(true)
    }

    fn shared(&self) -> Result<&Shared> {
        self.shared.as_ref().ok_or_else(unprepared)
    }
}
