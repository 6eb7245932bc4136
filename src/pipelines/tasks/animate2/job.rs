//! What Animate-2's model is shown: reference, carried frame, and the driving video itself.

use std::sync::Arc;

use image::RgbImage;

use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::models::dit::animate2::{Animate2, Driving, Look};
use crate::models::dit::cache::work::Work;
use crate::models::dit::{block::Block, prediction::Prediction, session::Session};
use crate::models::vae::tiling::Encoding;
use crate::ops::{copy::concat, copy::join_inner, pixels::pixels, pixels::signed};
use crate::pipelines::checkpoint::parts::Parts;
use crate::pipelines::run::{
    arrangement::Arrangement, canvas::Canvas, conditioning::fold_after_reference, description::Description, event::Stage, job::Job,
    job::unprepared, latents,
};
use crate::video::{Frames, preprocess::centred, resize::Filter};

/// What the work is about.
#[derive(Clone, Debug)]
pub struct Inputs {
    pub reference: Arc<RgbImage>,
    /// At the model's rate.
    pub driving: Frames,
    /// The prompt, and the negative one where there is guidance.
    pub prompts: Vec<String>,
    pub driving_prompt: String,
    pub guidance_scale: f64,
    pub log_scale: f32,
    /// Whether the unconditional pass leaves out a block.
    pub skips_block: bool,
    /// Whether the driving video is kept in 8 bits.
    pub quantizes: bool,
}

pub struct Animate2Job {
    parts: Arc<Parts<Animate2>>,
    inputs: Inputs,
    arrangement: Arrangement,
    /// With its prompts once these are encoded, that of the driving video last.
    session: Session<Block>,
    canvas: Canvas,
    /// Embeddings of the prompts, until the session has them.
    texts: Vec<Tensor>,
    /// Latents [C, 1, H, W].
    reference: Option<Tensor>,
    preparation: Option<Preparation>,
    window: Option<Window>,
}

/// A window on its way.
struct Preparation {
    /// A frame of grey, and what is encoded of it, until the conditioning is there.
    grey: Option<Tensor>,
    video: Option<Encoding>,
    conditioning: Option<Tensor>,
    driving: Option<Encoding>,
    /// [C, T, H, W]
    driving_latents: Option<Tensor>,
}

/// What one segment's steps look at.
struct Window {
    conditioning: Tensor,
    driving: Driving,
}

impl Job for Animate2Job {
    fn describe(&self, description: &mut Description) -> Result<()> {
        let Inputs { reference, driving, prompts, driving_prompt, guidance_scale, log_scale, skips_block, quantizes } = &self.inputs;
        description.set("prompts", prompts.join(" | "));
        description.set("driving prompt", driving_prompt);
        description.set("guidance scale", guidance_scale);
        description.set("log scale", log_scale);
        description.set("skipped block", skips_block);
        description.set("driving video in 8 bits", quantizes);
        description.set("segment frames", self.canvas.segments.segment_frames());
        description.set("overlap", self.canvas.segments.overlap());
        description.set_image("reference", reference);
        description.set_video("driving video", Some(driving))
    }

    fn encode(&mut self, rec: &mut Recorder, piece: usize) -> Result<usize> {
        match piece {
            0 => {
                self.enter(Stage::Encoding);
                let prompts = self.inputs.prompts.iter().chain([&self.inputs.driving_prompt]).cloned().collect::<Vec<_>>();
                self.texts = self.parts.text_embeddings(rec, &prompts)?;
            }
            1 => self.add_prompts(rec)?,
            _ => {
                let (width, height) = self.canvas.size;
                let frame = pixels(rec, &[height, width, 3], || Ok(self.letterboxed()?.into_raw()), signed)?;
                let encoded = self.parts.vae.encode_frames(rec, self.canvas.tiling, [height, width], 1, |_, _| Ok(frame.clone()))?;
                self.reference = Some(latents::join(rec, &encoded)?);
            }
        }
        Ok(3)
    }

    fn condition(&mut self, rec: &mut Recorder, k: usize, carried: Option<&[f32]>, piece: usize) -> Result<usize> {
        if piece == 0 {
            if self.window.is_some() && self.canvas.segments.count() == 1 {
                // The next video's only segment looks at what the last one's did.
                return Ok(1);
            }
            self.window = None;
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
                // Each latent frame of the carried and of the driving video, and the pass over the latter.
                Ok((2 * (self.canvas.latents[1] - 1) + 1).max(piece + 2))
            }
        }
    }

    fn branches(&self) -> usize {
        self.inputs.prompts.len()
    }

    fn predict(&mut self, rec: &mut Recorder, branch: usize, latents: &Tensor, timestep: f64, work: Work) -> Result<Prediction> {
        self.enter(Stage::Denoising { segment: 0 });
        let Some(Window { conditioning, driving }) = &self.window else { return Err(unprepared()) };
        let input = concat(rec, &[latents, conditioning])?;
        let Inputs { log_scale, skips_block, .. } = self.inputs;
        let look = Look { log_scale, is_unconditional: skips_block && branch > 0 };
        self.parts.transformer.predict(rec, &mut self.session, branch, &input, timestep, work, (driving, look))
    }

    fn guidance_scale(&self) -> f64 {
        self.inputs.guidance_scale
    }

    fn decode(&mut self) {
        // Where there is another segment, it has a driving video of its own.
        if self.canvas.segments.count() > 1 {
            self.window = None;
        }
        self.enter(Stage::Decoding { segment: 0 });
    }

    fn finished(&self, mut frames: Vec<Tensor>) -> Vec<Tensor> {
        // The reference's own frame is not part of the video.
        frames.remove(0);
        frames
    }
}

impl Animate2Job {
    pub fn new(parts: Arc<Parts<Animate2>>, inputs: Inputs, canvas: Canvas, arrangement: Arrangement) -> Self {
        let session = parts.transformer.dit().session(arrangement.options);
        Self { parts, inputs, arrangement, session, canvas, texts: Vec::new(), reference: None, preparation: None, window: None }
    }

    /// The session takes over what the prompts and the images are to the model.
    fn add_prompts(&mut self, rec: &mut Recorder) -> Result<()> {
        let (reference, first) = (self.letterboxed()?, self.driving_frame(0, 0)?);
        let shown = |image: &RgbImage| self.parts.image_embeddings(rec, &[image]);
        let [reference, first] = [&reference, &first].map(shown);
        let (reference, first) = (reference?, first?);
        let model = &self.parts.transformer;
        let mut texts = std::mem::take(&mut self.texts);
        let driving = texts.pop().ok_or_else(unprepared)?;
        texts.iter().try_for_each(|text| model.dit().add_prompt(rec, &mut self.session, text, reference.as_ref()))?;
        model.add_driving_prompt(rec, &mut self.session, &driving, first.as_ref())
    }

    fn letterboxed(&self) -> Result<RgbImage> {
        let (width, height) = self.canvas.size;
        centred(&self.inputs.reference, width as u32, height as u32, Filter::Bicubic)
    }

    /// Frame `i` of segment `k` of the driving video on the canvas.
    fn driving_frame(&self, k: usize, i: usize) -> Result<RgbImage> {
        let (width, height) = self.canvas.size;
        centred(&self.inputs.driving.read(self.canvas.segments.source(k, i))?, width as u32, height as u32, Filter::Bilinear)
    }

    /// Before a stage: what it has no room for leaves the GPU.
    fn enter(&mut self, stage: Stage) {
        self.session.keep(self.arrangement.resident(stage));
    }

    fn prepare(&self, rec: &mut Recorder) -> Result<Preparation> {
        let Canvas { size: (width, height), tiling, segments, .. } = self.canvas;
        let encoding = || self.parts.vae.encoding(tiling, [height, width], segments.segment_frames());
        // The same tensor again and again, which the encoder knows how to use.
        let grey = rec.zeros(&[height, width, 3])?;
        Ok(Preparation { grey: Some(grey), video: Some(encoding()), conditioning: None, driving: Some(encoding()), driving_latents: None })
    }

    /// One piece; the window after the last.
    fn go_on(&mut self, rec: &mut Recorder, k: usize, carried: Option<&[f32]>, preparation: &mut Preparation) -> Result<Option<Window>> {
        let Preparation { grey, video, conditioning, driving, driving_latents } = preparation;
        let (width, height) = self.canvas.size;
        if let (Some(encoding), Some(grey_frame)) = (video.as_mut(), &grey) {
            if !encoding.next(rec, &mut |rec, i| self.video_frame(rec, k, carried, i, grey_frame))? {
                let latents = video.take().map(Encoding::into_latents).unwrap_or_default();
                *conditioning = Some(self.conditioning(rec, k, &latents)?);
                *grey = None;
            }
            return Ok(None);
        }
        if let Some(encoding) = driving.as_mut() {
            let mut frame = |rec: &mut Recorder, i| pixels(rec, &[height, width, 3], || Ok(self.driving_frame(k, i)?.into_raw()), signed);
            if !encoding.next(rec, &mut frame)? {
                let latents = driving.take().map(Encoding::into_latents).unwrap_or_default();
                *driving_latents = Some(latents::join(rec, &latents)?);
            }
            return Ok(None);
        }
        let driving = self.watch(rec, &driving_latents.take().ok_or_else(unprepared)?)?;
        Ok(conditioning.take().map(|conditioning| Window { conditioning, driving }))
    }

    /// What the blocks make of latents [C, T, H, W] of the driving video, all of which is given.
    fn watch(&mut self, rec: &mut Recorder, latents: &Tensor) -> Result<Driving> {
        let [_, frames, rows, cols] = self.canvas.latents;
        let given = rec.upload_with(&[4, frames - 1, rows, cols], || Ok(vec![1.0; 4 * (frames - 1) * rows * cols]))?;
        let input = concat(rec, &[latents, &given, latents])?;
        drop(given);
        let driving = self.parts.transformer.watch(rec, &mut self.session, self.inputs.prompts.len(), &input, self.inputs.quantizes)?;
        rec.device().rehearsal().inspect(|rehearsal| rehearsal.note_driving(driving.host_bytes()));
        Ok(driving)
    }

    /// See [`conditioning`](crate::pipelines::run::conditioning). `video` are latent frames of the carried frames and of what follows them.
    fn conditioning(&self, rec: &mut Recorder, k: usize, video: &[Tensor]) -> Result<Tensor> {
        let [_, frames, rows, cols] = self.canvas.latents;
        let segments = self.canvas.segments;
        let video = latents::join(rec, video)?;
        let mask = rec.upload_with(&[4, frames, rows, cols], || {
            let mask = |i| vec![if i < segments.carried(k) { 1.0 } else { 0.0 }; rows * cols];
            Ok(fold_after_reference(&(0..segments.segment_frames()).map(mask).collect::<Vec<_>>()))
        })?;
        let reference = self.reference.as_ref().ok_or_else(unprepared)?;
        let latents = join_inner(rec, &[(reference, 0..1), (&video, 0..frames - 1)])?;
        concat(rec, &[&mask, &latents])
    }

    /// Frame `i` of the carried ones and of what follows them.
    fn video_frame(&self, rec: &mut Recorder, k: usize, carried: Option<&[f32]>, i: usize, grey: &Tensor) -> Result<Tensor> {
        let (width, height) = self.canvas.size;
        let values = height * width * 3;
        match carried.filter(|_| i < self.canvas.segments.carried(k)) {
            Some(carried) => rec.upload_with(&[height, width, 3], || Ok(carried[i * values..][..values].to_vec())),
            None => Ok(grey.clone()),
        }
    }
}
