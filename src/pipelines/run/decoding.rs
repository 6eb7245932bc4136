//! A segment's latents on their way to frames.

use std::collections::VecDeque;

use image::RgbImage;

use crate::error::{Error, Result};
use crate::gpu::{GpuFrame, Recorder, Tensor};
use crate::models::taehv;
use crate::models::taehv::TinyDecoder;
use crate::models::vae::{PLANNED_LATENTS, Samples, Vae, decoder::Decoder};
use crate::ops::rgba8::{Rgba8, rgba8};
use crate::pipelines::run::{canvas::Canvas, color_anchor::ColorAnchor, event::Event};
use crate::video::Frame;

/// One segment's decoding, a latent frame at a time.
pub(crate) struct Decoding {
    vae: Vae,
    /// In place of the VAE's decoder.
    draft: Option<TinyDecoder>,
    latents: Vec<Tensor>,
    /// How many of them were decoded.
    done: usize,
    /// Ways to decode: the one in use, then those for less memory.
    attempts: VecDeque<Option<usize>>,
    mode: Mode,
    canvas: Canvas,
    segment: usize,
    /// Whether frames stay on the GPU.
    textures: bool,
    anchor: Option<ColorAnchor>,
    /// Decoded frames so far.
    frames: usize,
    /// The last of a segment's, as many as the next segment begins with.
    last: Vec<f32>,
}

/// A decoded frame: on the host in [-1, 1], or on the GPU, or both.
pub(crate) struct Picture {
    samples: Option<Samples>,
    texture: Option<GpuFrame>,
}

impl Picture {
    fn on_host(samples: Samples) -> Self {
        Self { samples: Some(samples), texture: None }
    }
}

/// Where frames are wanted.
pub(crate) enum Wanted {
    /// On the host, with colours held to the segment before, where there is one.
    Samples(Option<ColorAnchor>),
    /// On the GPU.
    Textures,
}

/// What has been done for latent frames that were not yet asked for.
enum Mode {
    Begin,
    Whole(Decoder),
    Draft(Box<taehv::Stream>),
    Tiled(Vec<Vec<Samples>>),
}

impl Decoding {
    /// Of latent frames [H, W, C]. The anchor is for frames on the host.
    pub fn new(vae: &Vae, draft: Option<&TinyDecoder>, latents: Vec<Tensor>, canvas: &Canvas, segment: usize, frames: Wanted) -> Self {
        let [_, _, rows, cols] = canvas.latents;
        let attempts = match draft {
            Some(_) => VecDeque::from([None]),
            None => canvas.tiling.attempts([rows, cols], vae.config().pixels_per_latent()),
        };
        let (vae, draft, canvas) = (vae.clone(), draft.cloned(), *canvas);
        let (textures, anchor) = match frames {
            Wanted::Textures => (true, None),
            Wanted::Samples(anchor) => (false, anchor),
        };
        Self { vae, draft, latents, done: 0, attempts, mode: Mode::Begin, canvas, segment, textures, anchor, frames: 0, last: Vec::new() }
    }

    /// How many latent frames were decoded, and how many there are.
    pub fn progress(&self) -> (usize, usize) {
        (self.done, self.latents.len())
    }

    /// The next frames, to be given to [`take_frames`](Self::take_frames); none after the last. On a dry device there are no frames.
    ///
    /// Where memory runs out and there may be tiles, it begins again with these: they give the same bits.
    pub fn next(&mut self, rec: &mut Recorder) -> Result<Option<Vec<Picture>>> {
        if self.done == self.latents.len() {
            return Ok(None);
        }
        loop {
            match self.decode(rec) {
                Err(Error::Limits { .. }) if self.attempts.len() > 1 => {
                    self.attempts.pop_front();
                    self.mode = Mode::Begin;
                    rec.finish()?;
                    rec.trim();
                }
                Err(error) => return Err(error),
                Ok(frames) => {
                    self.done += 1;
                    return Ok(Some(frames));
                }
            }
        }
    }

    /// The frames of the next latent frame.
    fn decode(&mut self, rec: &mut Recorder) -> Result<Vec<Picture>> {
        let is_dry = rec.device().rehearsal().is_some();
        loop {
            match (&mut self.mode, self.attempts.front().copied().flatten()) {
                (Mode::Begin, None) => {
                    let draft = self.draft.as_ref().map(|tiny| Mode::Draft(Box::new(tiny.stream())));
                    self.mode = draft.unwrap_or_else(|| Mode::Whole(self.vae.decoder()));
                }
                (Mode::Begin, Some(size)) => self.mode = Mode::Tiled(self.vae.decode_tiled(rec, &self.latents, size)?),
                (Mode::Tiled(videos), _) => {
                    let frames = videos.get_mut(self.done).map(std::mem::take).unwrap_or_default();
                    return frames.into_iter().map(|samples| self.upload(rec, samples)).collect();
                }
                _ if is_dry && self.done >= PLANNED_LATENTS => return Ok(Vec::new()),
                (Mode::Whole(decoder), _) => {
                    let frames = decoder.next(rec, &self.latents[self.done])?;
                    return self.pictures(rec, &frames);
                }
                (Mode::Draft(stream), _) => {
                    let frames = stream.next(rec, &self.latents[self.done])?;
                    return self.pictures(rec, &frames);
                }
            }
        }
    }

    fn pictures(&self, rec: &mut Recorder, frames: &Tensor) -> Result<Vec<Picture>> {
        match self.textures {
            true => self.keep(rec, frames),
            false if rec.device().rehearsal().is_some() => Ok(note_host(rec, frames)),
            false => Ok(rec.download_each(frames)?.into_iter().map(Picture::on_host).collect()),
        }
    }

    /// Frames [F, H, W, 3] as textures; on the host only those that the next segment begins with. None on a dry device.
    fn keep(&self, rec: &mut Recorder, frames: &Tensor) -> Result<Vec<Picture>> {
        let shown = self.canvas.crop.frames(rec, frames)?;
        let Rgba8 { words, fault } = rgba8(rec, &shown)?;
        let (count, width) = (frames.shape()[0], self.canvas.crop.size.0);
        let mut pictures = Vec::new();
        for index in 0..count {
            let texture = Some(rec.frame(&words, index, width)?);
            let samples = self.is_carried(self.frames + index).then(|| rec.download_entry(frames, index)).transpose()?;
            pictures.push(Picture { samples, texture });
        }
        if rec.device().rehearsal().is_some() {
            return Ok(Vec::new());
        }
        match rec.download_word(&fault)? {
            0 => Ok(pictures),
            _ => Err(not_finite("pixels", self.segment)),
        }
    }

    /// A frame of tiles, which were put together on the host.
    fn upload(&self, rec: &mut Recorder, samples: Samples) -> Result<Picture> {
        if !self.textures {
            return Ok(Picture::on_host(samples));
        }
        let (width, height) = self.canvas.size;
        let frame = rec.upload(&[1, height, width, 3], &samples)?;
        let shown = self.canvas.crop.frames(rec, &frame)?;
        let words = rgba8(rec, &shown)?.words;
        let texture = rec.frame(&words, 0, self.canvas.crop.size.0)?;
        rec.flush()?;
        Ok(Picture { samples: Some(samples), texture: Some(texture) })
    }

    /// Whether the next segment begins with a frame of this one.
    fn is_carried(&self, frame: usize) -> bool {
        frame + self.canvas.segments.overlap() >= self.canvas.segments.segment_frames()
    }

    /// Those of the frames that are the result's, with their numbers there, and before the first of them what its colours tell.
    pub fn take_frames(&mut self, pictures: Vec<Picture>) -> Result<Vec<(usize, Event)>> {
        let Canvas { size: (canvas_width, _), crop, segments, .. } = self.canvas;
        let (width, height) = crop.size;
        let (carried, first) = (segments.carried(self.segment), segments.first_frame(self.segment));
        let mut taken = Vec::new();
        for Picture { mut samples, texture } in pictures {
            if let Some(samples) = &mut samples {
                check_finite(samples, "pixels", self.segment)?;
                samples.iter_mut().for_each(|sample| *sample = *sample / 2.0 + 0.5);
                let drift = self.anchor.as_mut().and_then(|anchor| anchor.next(self.frames, samples));
                taken.extend(drift.map(|drift| (first, Event::Drift(drift))));
                if self.is_carried(self.frames) {
                    // As the frame has them, so that who has the frame can go on from it.
                    self.last.extend(samples.iter().map(signed));
                }
            }
            if let Some(number) = self.frames.checked_sub(carried).filter(|&number| number < segments.new_frames(self.segment)) {
                let event = match (texture, samples) {
                    (Some(texture), _) => Event::Texture(texture),
                    (None, samples) => {
                        let samples = crop.samples(samples.unwrap_or_default(), canvas_width);
                        Event::Frame(Frame::new(width as u32, height as u32, samples)?)
                    }
                };
                taken.push((first + number, event));
            }
            self.frames += 1;
        }
        Ok(taken)
    }

    /// The last frames [F, H, W, 3] in [-1, 1], as many as segments overlap by.
    pub fn into_last(self) -> Option<Vec<f32>> {
        (self.canvas.segments.overlap() > 0).then_some(self.last)
    }
}

/// The frames of latent frames [H, W, C] by a tiny decoder; none on a dry device.
pub(crate) fn draft_pictures(rec: &mut Recorder, decoder: &TinyDecoder, latents: &[Tensor]) -> Result<Vec<RgbImage>> {
    let (mut stream, mut pictures) = (decoder.stream(), Vec::new());
    let is_dry = rec.device().rehearsal().is_some();
    for latent in latents.iter().take(if is_dry { PLANNED_LATENTS } else { usize::MAX }) {
        let frames = stream.next(rec, latent)?;
        let (height, width) = (frames.shape()[1] as u32, frames.shape()[2] as u32);
        for mut samples in rec.download_each(&frames)?.into_iter().filter(|_| !is_dry) {
            samples.iter_mut().for_each(|sample| *sample = *sample / 2.0 + 0.5);
            pictures.push(Frame::new(width, height, samples)?.to_rgb8());
        }
    }
    Ok(pictures)
}

/// A frame's sample in [-1, 1].
pub(crate) fn signed(sample: &f32) -> f32 {
    2.0 * sample - 1.0
}

/// Tells a plan of frames [F, H, W, 3] and of one on its way to the host. There are none yet.
fn note_host(rec: &Recorder, frames: &Tensor) -> Vec<Picture> {
    let frame = 4 * frames.len() as u64 / frames.shape()[0] as u64;
    rec.device().rehearsal().inspect(|rehearsal| rehearsal.note_host(4 * frames.len() as u64 + frame));
    Vec::new()
}

/// # Errors
/// [`Error::Unsupported`] where a value is not finite.
pub(crate) fn check_finite(values: &[f32], what: &str, segment: usize) -> Result<()> {
    if values.iter().all(|value| value.is_finite()) { Ok(()) } else { Err(not_finite(what, segment)) }
}

fn not_finite(what: &str, segment: usize) -> Error {
    Error::Unsupported(format!(
        "segment {} has {what} that are not finite: the model's numbers left the range of this precision; try `Precision::F32`",
        segment + 1
    ))
}
