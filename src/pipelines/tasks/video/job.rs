//! What the models of text- and image-to-video are shown.

use std::sync::Arc;

use image::RgbImage;

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::layers::shelf::Claim;
use crate::models::dit::{backbone::Dit, block::Block, cache::work::Work, embed::Timestep, prediction::Prediction, session::Session};
use crate::models::vae::tiling::Encoding;
use crate::ops::{copy::concat, copy::join_inner, permute::permute};
use crate::pipelines::checkpoint::{expert::Expert, experts::Experts, parts::Parts, rules::Rules};
use crate::pipelines::run::{
    arrangement::Arrangement, canvas::Canvas, conditioning::fold, description::Description, event::Stage, job::Job, job::unprepared,
    latents,
};
use crate::pipelines::tasks::video::{model::Model, model::Start};

/// What a video is led to.
pub struct Guidance {
    /// Of the high-noise and of the low-noise expert.
    pub scales: (f64, f64),
    /// The prompt, and the negative one where there is guidance.
    pub prompts: Vec<String>,
}

pub struct VideoJob {
    parts: Arc<Parts<Experts>>,
    model: Model,
    canvas: Canvas,
    guidance: Guidance,
    /// The first, and the last one if there is one; none from text.
    images: Vec<Arc<RgbImage>>,
    arrangement: Arrangement,
    /// The transformers that stay on the GPU.
    stay: Claim<Dit>,
    embeddings: Option<Embeddings>,
    /// On its way to [`Given::Channels`].
    video: Option<Encoding>,
    start: Option<Given>,
    active: Option<Active>,
}

/// What the encoders make of prompts and images.
struct Embeddings {
    /// [text_len, text_dim] by prompt.
    texts: Vec<Tensor>,
    image: Option<Tensor>,
}

/// What the model is given of the video.
enum Given {
    Nothing,
    /// [4 + C, T, H, W]: which frames are given, and the latents of a video with these and grey ones.
    Channels(Tensor),
    /// The first latent frame [H, W, C].
    FirstFrame(Tensor),
}

/// The transformer that makes the steps.
struct Active {
    expert: Expert,
    dit: Arc<Dit>,
    session: Session<Block>,
}

impl Job for VideoJob {
    fn describe(&self, description: &mut Description) -> Result<()> {
        description.set("prompts", self.guidance.prompts.join(" | "));
        description.set("guidance scales", format!("{:?}", self.guidance.scales));
        for (name, image) in ["image", "last image"].into_iter().zip(&self.images) {
            description.set_image(name, image);
        }
        Ok(())
    }

    fn encode(&mut self, rec: &mut Recorder, piece: usize) -> Result<usize> {
        if piece == 0 {
            self.activate(rec, Expert::HighNoise, Stage::Encoding)?;
            let texts = self.parts.text_embeddings(rec, &self.guidance.prompts)?;
            self.embeddings = Some(Embeddings { texts, image: None });
            return Ok(2);
        }
        let images: Vec<_> = self.images.iter().map(|image| &**image).collect();
        let image = self.parts.image_embeddings(rec, &images)?;
        self.embeddings.as_mut().ok_or_else(unprepared)?.image = image;
        if !self.model.two_experts {
            self.switch(rec, Expert::HighNoise)?;
        }
        Ok(2)
    }

    fn condition(&mut self, rec: &mut Recorder, k: usize, _carried: Option<&[f32]>, piece: usize) -> Result<usize> {
        self.enter(Stage::Conditioning { segment: k });
        match (&self.start, self.model.start, self.images.first()) {
            (Some(_), ..) => Ok(1),
            (None, Start::Channels, _) => self.channels(rec, piece),
            (None, Start::FirstFrame, Some(image)) => {
                self.start = Some(Given::FirstFrame(self.first_frame(rec, &image.clone())?));
                Ok(1)
            }
            _ => {
                self.start = Some(Given::Nothing);
                Ok(1)
            }
        }
    }

    fn expert(&self, timestep: f64) -> Option<Expert> {
        self.parts.transformer.at(timestep)
    }

    fn switch(&mut self, rec: &mut Recorder, expert: Expert) -> Result<()> {
        if self.active.as_ref().is_none_or(|active| active.expert != expert) {
            self.activate(rec, expert, Stage::Switching { expert })?;
        }
        let (Some(Embeddings { texts, image }), Some(active)) = (&self.embeddings, &mut self.active) else { return Err(unprepared()) };
        texts.iter().try_for_each(|text| active.dit.add_prompt(rec, &mut active.session, text, image.as_ref()))
    }

    fn branches(&self) -> usize {
        self.guidance.prompts.len()
    }

    fn predict(&mut self, rec: &mut Recorder, branch: usize, latents: &Tensor, timestep: f64, work: Work) -> Result<Prediction> {
        self.enter(Stage::Denoising { segment: 0 });
        let Some(start) = &self.start else { return Err(unprepared()) };
        let (input, timestep) = match start {
            Given::Nothing => (latents.clone(), Timestep::Of(timestep)),
            Given::Channels(channels) => (concat(rec, &[latents, channels])?, Timestep::Of(timestep)),
            Given::FirstFrame(given) => {
                let given = latents::join(rec, std::slice::from_ref(given))?;
                let input = join_inner(rec, &[(&given, 0..1), (latents, 1..latents.shape()[1])])?;
                (input, Timestep::AfterFirstFrame(timestep))
            }
        };
        let Some(Active { dit, session, .. }) = &mut self.active else { return Err(unprepared()) };
        dit.predict(rec, session, branch, &input, timestep, work, &mut ())
    }

    fn guidance_scale(&self) -> f64 {
        let (high, low) = self.guidance.scales;
        match &self.active {
            Some(Active { expert: Expert::LowNoise, .. }) => low,
            _ => high,
        }
    }

    fn decode(&mut self) {
        self.enter(Stage::Decoding { segment: 0 });
    }

    fn finished(&self, mut frames: Vec<Tensor>) -> Vec<Tensor> {
        if let (Some(Given::FirstFrame(given)), Some(first)) = (&self.start, frames.first_mut()) {
            *first = given.clone();
        }
        frames
    }
}

impl VideoJob {
    pub fn new(
        parts: Arc<Parts<Experts>>,
        model: Model,
        canvas: Canvas,
        guidance: Guidance,
        images: Vec<Arc<RgbImage>>,
        arrangement: Arrangement,
    ) -> Self {
        let stay = parts.transformer.claim();
        Self { parts, model, canvas, guidance, images, arrangement, stay, embeddings: None, video: None, start: None, active: None }
    }

    /// Before a stage: what it has no room for leaves the GPU.
    fn enter(&mut self, stage: Stage) {
        if let Some(active) = &mut self.active {
            active.session.keep(self.arrangement.resident(stage));
        }
    }

    /// Makes an expert the one that is at work. Where both do not fit, the other one leaves first.
    fn activate(&mut self, rec: &mut Recorder, expert: Expert, stage: Stage) -> Result<()> {
        self.active = None;
        rec.trim();
        let number = expert as usize;
        self.stay.set(if self.arrangement.both_experts { 0..2 } else { number..number + 1 });
        let dit = self.parts.transformer.get(expert)?;
        let session = dit.session(self.arrangement.options);
        self.active = Some(Active { expert, dit, session });
        self.enter(stage);
        Ok(())
    }

    /// The images as the first and the last frame of a grey video, encoded a latent frame at a time, under the mask of what is given. Gives the
    /// number of latent frames.
    fn channels(&mut self, rec: &mut Recorder, piece: usize) -> Result<usize> {
        let [_, frames, rows, cols] = self.canvas.latents;
        let (width, height) = self.canvas.size;
        let count = self.canvas.segments.frames();
        let begin = || self.parts.vae.encoding(self.canvas.tiling, [height, width], count);
        let mut video = if piece == 0 { begin() } else { self.video.take().ok_or_else(unprepared)? };
        let is_left = video.next(rec, &mut |rec, i| match self.given(i, count) {
            Some(image) => self.frame(rec, image, Rules::still),
            None => rec.zeros(&[height, width, 3]),
        })?;
        if is_left {
            self.video = Some(video);
            return Ok(frames);
        }
        let mask = |i| vec![if self.given(i, count).is_some() { 1.0 } else { 0.0 }; rows * cols];
        let masks: Vec<_> = (0..count).map(mask).collect();
        let mask = rec.upload(&[4, frames, rows, cols], &fold(&masks))?;
        let video = latents::join(rec, &video.into_latents())?;
        self.start = Some(Given::Channels(concat(rec, &[&mask, &video])?));
        Ok(piece + 1)
    }

    /// The image that frame `i` of `count` shows.
    fn given(&self, i: usize, count: usize) -> Option<&RgbImage> {
        match i {
            0 => self.images.first().map(|image| &**image),
            _ if i + 1 == count => self.images.get(1).map(|image| &**image),
            _ => None,
        }
    }

    fn first_frame(&self, rec: &mut Recorder, image: &RgbImage) -> Result<Tensor> {
        let Canvas { size: (width, height), tiling, .. } = self.canvas;
        let frame = self.frame(rec, image, Rules::first_frame)?;
        let latents = self.parts.vae.encode_frames(rec, tiling, [height, width], 1, |_, _| Ok(frame.clone()))?;
        latents.into_iter().next().ok_or_else(unprepared)
    }

    /// An image on the canvas, [H, W, 3] in [-1, 1].
    fn frame(&self, rec: &mut Recorder, image: &RgbImage, fit: fn(Rules, &RgbImage, u32, u32) -> Result<Vec<f32>>) -> Result<Tensor> {
        let (width, height) = self.canvas.size;
        let planes = rec.upload_with(&[3, height, width], || fit(self.parts.rules, image, width as u32, height as u32))?;
        permute(rec, &planes, &[1, 2, 0], DType::F32)
    }
}
