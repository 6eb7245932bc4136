//! A generation up to a segment's first step: preprocessing, encoding, conditioning.

use std::sync::Arc;

use crate::driving::Stride;
use crate::error::Result;
use crate::pipelines::run::event::{Event, Stage};
use crate::pipelines::run::generation::{Generation, Phase};
use crate::pipelines::run::state::Denoised;
use crate::pipelines::run::{denoise::Denoiser, job::unprepared};
use crate::schedulers::LATENTS;

impl Generation {
    pub(super) fn preprocess(&mut self) -> Result<Phase> {
        let job = self.job.as_mut().ok_or_else(unprepared)?;
        let stride = job.preprocess()?;
        self.state.findings = job.findings();
        match stride {
            Stride::On(done, total) => {
                self.progress(Stage::Preprocessing, done, total, self.left(self.num_steps(), 1.0, 1.0));
                Ok(Phase::Preprocess)
            }
            Stride::Over(conditions) => {
                conditions.into_iter().for_each(|conditions| self.tell(Event::Prepared(conditions)));
                self.enter(Stage::Encoding);
                Ok(Phase::Encode(0))
            }
        }
    }

    pub(super) fn encode(&mut self, piece: usize) -> Result<Phase> {
        let total = self.job.as_mut().ok_or_else(unprepared)?.encode(&mut self.rec, piece)?;
        let is_last = piece + 1 == total;
        if is_last && self.settings.previews && self.decoders.preview.is_none() {
            self.rgb = Some(Arc::new(self.vae.rgb_factors(&mut self.rec)?));
        }
        if is_last {
            self.settle()?;
        }
        self.progress(Stage::Encoding, piece + 1, total, self.left(0, 1.0, 1.0));
        Ok(if is_last { Phase::Video } else { Phase::Encode(piece + 1) })
    }

    pub(super) fn begin_conditioning(&mut self) -> Result<Phase> {
        if self.position.denoised.is_none() {
            self.draw_noise();
        }
        let denoised = self.position.denoised.take().unwrap_or_default();
        let (shape, count) = (self.canvas.latents, self.plan.slots);
        let denoiser = Denoiser::upload(&mut self.rec, &shape, &denoised, count)?;
        let reused = denoised.slots.iter().skip(count).flatten().map(|values| self.rec.upload(&shape, values));
        let reused = reused.collect::<Result<_>>()?;
        self.reuse.begin(denoised.reused, reused);
        Ok(Phase::Condition(denoiser, 0))
    }

    pub(super) fn condition(&mut self, denoiser: Denoiser, piece: usize) -> Result<Phase> {
        let (segment, carried) = (self.segment(), self.position.carried.clone());
        let job = self.job.as_mut().ok_or_else(unprepared)?;
        let total = job.condition(&mut self.rec, segment, carried.as_deref().map(Vec::as_slice), piece)?;
        let left = (total - piece - 1) as f64 / total as f64;
        if left > 0.0 {
            self.progress(Stage::Conditioning { segment }, piece + 1, total, self.left(0, left, 1.0));
            return Ok(Phase::Condition(denoiser, piece + 1));
        }
        self.settle()?;
        self.pace.conditioning(1.0, self.since.elapsed());
        self.progress(Stage::Conditioning { segment }, total, total, self.left(0, 0.0, 1.0));
        self.enter(Stage::Denoising { segment });
        Ok(Phase::Step(denoiser))
    }

    fn draw_noise(&mut self) {
        let mut position = self.position.clone();
        let count = self.canvas.latents.iter().product();
        let noise = match &self.settings.noise {
            Some(noise) => noise[position.segment].values.clone(),
            None if self.settings.is_planned => vec![0.0; count],
            None => position.generator.normal(count),
        };
        let mut slots = vec![None; self.plan.slots];
        slots[LATENTS] = Some(noise);
        position.denoised = Some(Denoised { slots, ..Denoised::default() });
        self.reach(position);
    }
}
