//! What the models of text- and image-to-video are shown.

use std::sync::Arc;

use image::RgbImage;

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::Recorder;
use crate::models::dit::{Context, Dit, Timestep};
use crate::ops::copy::concat;
use crate::ops::permute::permute;
use crate::pipelines::canvas::Canvas;
use crate::pipelines::conditioning::fold;
use crate::pipelines::denoise::guide;
use crate::pipelines::description::Description;
use crate::pipelines::event::Stage;
use crate::pipelines::experts::{Expert, Experts};
use crate::pipelines::job::{Job, unprepared};
use crate::pipelines::latents;
use crate::pipelines::parts::Parts;
use crate::pipelines::plan::PLANNED_STEPS;
use crate::pipelines::rules::Rules;
use crate::pipelines::video::model::{Model, Start};
use crate::tensor::Tensor;

/// See the module.
pub struct VideoJob<'a> {
    parts: &'a Parts<Experts>,
    model: Model,
    canvas: Canvas,
    /// The prompt, and the negative one where there is guidance.
    prompts: Vec<String>,
    /// Scales of the high-noise and of the low-noise expert.
    guidance: (f64, f64),
    /// The first, and the last one if there is one; none from text.
    images: Vec<&'a RgbImage>,
    embeddings: Option<Embeddings>,
    start: Option<Given>,
    active: Option<Active>,
    /// Of the active transformer.
    passes: usize,
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

/// The transformer that makes the steps, with what its cross-attention sees by prompt.
struct Active {
    dit: Arc<Dit>,
    contexts: Vec<Context>,
    guidance_scale: f64,
}

impl Job for VideoJob<'_> {
    fn encode(&mut self, rec: &mut Recorder) -> Result<()> {
        self.parts.enter(Stage::Encoding);
        let texts = self.parts.text_embeddings(rec, &self.prompts)?;
        let image = self.parts.image_embeddings(rec, &self.images)?;
        self.embeddings = Some(Embeddings { texts, image });
        if !self.model.two_experts {
            self.switch(rec, Expert::HighNoise)?;
        }
        Ok(())
    }

    fn condition(&mut self, rec: &mut Recorder, k: usize, _carried: Option<&[f32]>) -> Result<()> {
        self.parts.enter(Stage::Conditioning { segment: k });
        if self.start.is_none() {
            self.start = Some(match (self.model.start, self.images.first()) {
                (Start::Channels, _) => Given::Channels(self.channels(rec)?),
                (Start::FirstFrame, Some(image)) => Given::FirstFrame(self.first_frame(rec, image)?),
                _ => Given::Nothing,
            });
        }
        Ok(())
    }

    fn expert(&self, timestep: f64) -> Option<Expert> {
        self.parts.transformer.at(timestep)
    }

    fn switch(&mut self, rec: &mut Recorder, expert: Expert) -> Result<()> {
        // First of all, so that the other one can leave the GPU.
        self.active = None;
        self.passes = 0;
        rec.trim();
        let Embeddings { texts, image } = self.embeddings.as_ref().ok_or_else(unprepared)?;
        let dit = self.parts.transformer.get(expert)?;
        let contexts = texts.iter().map(|text| dit.context(rec, text, image.as_ref())).collect::<Result<_>>()?;
        let guidance_scale = match expert {
            Expert::HighNoise => self.guidance.0,
            Expert::LowNoise => self.guidance.1,
        };
        self.active = Some(Active { dit, contexts, guidance_scale });
        Ok(())
    }

    fn velocity(&mut self, rec: &mut Recorder, latents: &Tensor, timestep: f64) -> Result<Tensor> {
        self.passes += 1;
        if rec.device().rehearsal().is_some() && self.passes > PLANNED_STEPS {
            return rec.zeros(latents.shape());
        }
        self.parts.enter(Stage::Denoising { segment: 0 });
        let (Some(active), Some(start)) = (&self.active, &self.start) else { return Err(unprepared()) };
        let (input, timestep) = match start {
            Given::Nothing => (latents.clone(), Timestep::Of(timestep)),
            Given::Channels(channels) => (concat(rec, &[latents, channels])?, Timestep::Of(timestep)),
            Given::FirstFrame(_) => {
                let frames = self.parts.vae.latent_frames(rec, latents)?;
                (latents::join(rec, &self.finished(frames))?, Timestep::AfterFirstFrame(timestep))
            }
        };
        let predictions = active.contexts.iter().map(|context| active.dit.forward(rec, &input, timestep, context, None));
        let predictions = predictions.collect::<Result<Vec<_>>>()?;
        guide(rec, &predictions, active.guidance_scale)
    }

    fn decode(&mut self) {
        self.parts.enter(Stage::Decoding { segment: 0 });
    }

    fn finished(&self, mut frames: Vec<Tensor>) -> Vec<Tensor> {
        if let (Some(Given::FirstFrame(given)), Some(first)) = (&self.start, frames.first_mut()) {
            *first = given.clone();
        }
        frames
    }
}

impl<'a> VideoJob<'a> {
    pub fn new(
        parts: &'a Parts<Experts>,
        model: Model,
        canvas: Canvas,
        prompts: Vec<String>,
        guidance: (f64, f64),
        images: Vec<&'a RgbImage>,
    ) -> Self {
        Self { parts, model, canvas, prompts, guidance, images, embeddings: None, start: None, active: None, passes: 0 }
    }

    /// What frames depend on beside the checkpoint.
    pub fn describe(&self, description: &mut Description) {
        description.set("prompts", self.prompts.join(" | "));
        description.set("guidance scales", format!("{:?}", self.guidance));
        for (name, image) in ["image", "last image"].into_iter().zip(&self.images) {
            description.set_image(name, image);
        }
    }

    /// The images as the first and the last frame of a grey video, encoded, under the mask of what is given.
    fn channels(&self, rec: &mut Recorder) -> Result<Tensor> {
        let [_, frames, rows, cols] = self.canvas.latents;
        let (width, height) = self.canvas.size;
        let count = self.canvas.segments.frames();
        let encoded =
            self.parts.vae.encode_frames(rec, self.canvas.tiling, [height, width], count, |rec, i| match self.given(i, count) {
                Some(image) => self.frame(rec, image, Rules::still),
                None => rec.zeros(&[height, width, 3]),
            })?;
        let mask = |i| vec![if self.given(i, count).is_some() { 1.0 } else { 0.0 }; rows * cols];
        let masks: Vec<_> = (0..count).map(mask).collect();
        let mask = rec.upload(&[4, frames, rows, cols], &fold(&masks))?;
        let video = latents::join(rec, &encoded)?;
        concat(rec, &[&mask, &video])
    }

    /// The image that frame `i` of `count` shows.
    fn given(&self, i: usize, count: usize) -> Option<&'a RgbImage> {
        match i {
            0 => self.images.first().copied(),
            _ if i + 1 == count => self.images.get(1).copied(),
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
