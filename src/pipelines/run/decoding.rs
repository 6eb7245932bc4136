//! A segment's latents on their way to frames.

use std::collections::VecDeque;

use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::models::vae::{PLANNED_LATENTS, Samples, Vae, decoder::Decoder};
use crate::pipelines::run::canvas::Canvas;
use crate::video::Frame;

/// One segment's decoding, a latent frame at a time.
pub(crate) struct Decoding {
    vae: Vae,
    latents: Vec<Tensor>,
    /// How many of them were decoded.
    done: usize,
    /// Ways to decode: the one in use, then those for less memory.
    attempts: VecDeque<Option<usize>>,
    way: Way,
    canvas: Canvas,
    /// Decoded frames so far.
    frames: usize,
    /// The last of a segment's, as many as the next segment begins with.
    last: Vec<f32>,
}

/// What has been done for latent frames that were not yet asked for.
enum Way {
    Begin,
    Whole(Decoder),
    Tiled(Vec<Vec<Samples>>),
}

impl Decoding {
    /// Of latent frames [H, W, C].
    pub fn new(vae: &Vae, latents: Vec<Tensor>, canvas: &Canvas) -> Self {
        let [_, _, rows, cols] = canvas.latents;
        let attempts = canvas.tiling.attempts([rows, cols], vae.config().pixels_per_latent());
        Self { vae: vae.clone(), latents, done: 0, attempts, way: Way::Begin, canvas: *canvas, frames: 0, last: Vec::new() }
    }

    /// How many latent frames were decoded, and how many there are.
    pub fn progress(&self) -> (usize, usize) {
        (self.done, self.latents.len())
    }

    /// The next frames, to be given to [`take_frames`](Self::take_frames); none after the last. On a dry device there are no frames.
    ///
    /// Where memory runs out and there may be tiles, it begins again with these: they give the same bits.
    pub fn next(&mut self, rec: &mut Recorder) -> Result<Option<Vec<Samples>>> {
        if self.done == self.latents.len() {
            return Ok(None);
        }
        loop {
            match self.decode(rec) {
                Err(Error::Limits { .. }) if self.attempts.len() > 1 => {
                    self.attempts.pop_front();
                    self.way = Way::Begin;
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
    fn decode(&mut self, rec: &mut Recorder) -> Result<Vec<Samples>> {
        let is_dry = rec.device().rehearsal().is_some();
        loop {
            match (&mut self.way, self.attempts.front().copied().flatten()) {
                (Way::Begin, None) => self.way = Way::Whole(self.vae.decoder()),
                (Way::Begin, Some(size)) => self.way = Way::Tiled(self.vae.decode_tiled(rec, &self.latents, size)?),
                (Way::Tiled(videos), _) => return Ok(videos.get_mut(self.done).map(std::mem::take).unwrap_or_default()),
                (Way::Whole(_), _) if is_dry && self.done >= PLANNED_LATENTS => return Ok(Vec::new()),
                (Way::Whole(decoder), _) => {
                    let frames = decoder.next(rec, &self.latents[self.done])?;
                    return if is_dry { Ok(note_host(rec, &frames)) } else { rec.download_each(&frames) };
                }
            }
        }
    }

    /// Those of the frames that are the result's, with their numbers there; `k` is the segment.
    pub fn take_frames(&mut self, k: usize, frames: Vec<Samples>) -> Result<Vec<(usize, Frame)>> {
        let Canvas { size: (width, height), segments, .. } = self.canvas;
        let (carried, first) = (segments.carried(k), segments.first_frame(k));
        let mut taken = Vec::new();
        for mut samples in frames {
            samples.iter_mut().for_each(|sample| *sample = *sample / 2.0 + 0.5);
            if self.frames + segments.overlap() >= segments.segment_frames() {
                // As the frame has them, so that who has the frame can go on from it.
                self.last.extend(samples.iter().map(signed));
            }
            if let Some(number) = self.frames.checked_sub(carried).filter(|&number| number < segments.new_frames(k)) {
                taken.push((first + number, Frame::new(width as u32, height as u32, samples)?));
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

/// A frame's sample in [-1, 1].
pub(crate) fn signed(sample: &f32) -> f32 {
    2.0 * sample - 1.0
}

/// Tells a plan of frames [F, H, W, 3] and of one on its way to the host. There are none yet.
fn note_host(rec: &Recorder, frames: &Tensor) -> Vec<Samples> {
    let frame = 4 * frames.len() as u64 / frames.shape()[0] as u64;
    rec.device().rehearsal().inspect(|rehearsal| rehearsal.note_host(4 * frames.len() as u64 + frame));
    Vec::new()
}
