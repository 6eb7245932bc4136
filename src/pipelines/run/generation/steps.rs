//! A generation's steps, from noise to latents.

use std::sync::Arc;

use web_time::Instant;

use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::Tensor;
use crate::ops::lincomb::lincomb;
use crate::pipelines::checkpoint::expert::Expert;
use crate::pipelines::run::event::{Event, Stage, Step};
use crate::pipelines::run::generation::{Generation, Phase, Queued, Reached};
use crate::pipelines::run::latents::{self, Latents, Look};
use crate::pipelines::run::{decoding, denoise::Denoiser, job::unprepared};

/// Steps that a plan looks at, with each expert: solvers hold no more of the past. The others are like the last of them.
const PLANNED_STEPS: usize = 5;

impl Generation {
    pub(super) fn step(&mut self, mut denoiser: Denoiser) -> Result<Phase> {
        let begun = Instant::now();
        let done = denoiser.done();
        let Some(evaluation) = self.plan.evaluations.get(done).cloned() else { return self.begin_decoding(&denoiser) };
        let job = self.job.as_mut().ok_or_else(unprepared)?;
        if let Some(expert) = job.expert(evaluation.timestep).filter(|expert| self.expert != Some(*expert)) {
            self.enter(Stage::Switching { expert });
            return Ok(Phase::Switch(denoiser, expert));
        }
        self.passes += 1;
        let looks_at_all = !self.settings.is_planned || self.settings.cache.is_some() || self.settings.calibrate;
        let (velocity, computed) = match looks_at_all || self.passes <= PLANNED_STEPS {
            false => {
                self.reuse.pass_over();
                (self.rec.zeros(&self.canvas.latents)?, true)
            }
            true => self.reuse.evaluate(&mut self.rec, &mut **job, &self.plan.evaluations, denoiser.latents()?)?,
        };
        if self.settings.previews {
            self.preview(denoiser.latents()?, &velocity, evaluation.sigma)?;
        }
        let (shape, generator) = (self.canvas.latents, &mut self.position.generator);
        denoiser.advance(&mut self.rec, &evaluation, &velocity, |rec| {
            rec.upload_with(&shape, || Ok(generator.normal(shape.iter().product())))
        })?;
        let mut slots = denoiser.download(&mut self.rec)?;
        for reused in self.reuse.tensors() {
            slots.push(Some(self.rec.download_later(reused)?));
        }
        let reached = Reached { position: self.position.clone(), done: denoiser.done(), reused: self.reuse.reused(), slots };
        self.queue.push_back(Queued::Step(Box::new(reached)));
        self.tell_step(done, begun, evaluation.sigma, computed);
        Ok(Phase::Step(denoiser))
    }

    fn tell_step(&mut self, step: usize, begun: Instant, sigma: f64, computed: bool) {
        let end = Instant::now() + self.rec.backlog();
        let begun = self.step_end.map_or(begun, |last| last.max(begun));
        let elapsed = end.saturating_duration_since(begun);
        self.step_end = Some(end);
        if computed {
            self.pace.step(elapsed);
        }
        let remaining = self.pace.remaining(self.left(step + 1, 0.0, 1.0)).unwrap_or_default();
        let (segment, segments, steps, expert) = (self.segment(), self.num_segments(), self.num_steps(), self.expert);
        self.tell(Event::Step(Step { segment, segments, step, steps, sigma, expert, computed, elapsed, remaining }));
    }

    pub(super) fn switch(&mut self, denoiser: Denoiser, expert: Expert) -> Result<Phase> {
        self.settle()?;
        self.job.as_mut().ok_or_else(unprepared)?.switch(&mut self.rec, expert)?;
        self.rec.finish()?;
        (self.expert, self.passes) = (Some(expert), 0);
        self.enter(Stage::Denoising { segment: self.segment() });
        Ok(Phase::Step(denoiser))
    }

    fn preview(&mut self, latents: &Tensor, velocity: &Tensor, sigma: f64) -> Result<()> {
        let data = lincomb(&mut self.rec, &[(1.0, latents), (-sigma, velocity)], DType::F32)?;
        let frames = self.vae.latent_frames(&mut self.rec, &data)?;
        let frames = self.job.as_ref().ok_or_else(unprepared)?.finished(frames);
        let data = latents::join(&mut self.rec, &frames)?;
        let [channels, _, rows, cols] = self.canvas.latents;
        let values = self.rec.download(&data)?;
        let look = match (&self.decoders.preview, &self.rgb) {
            (Some(decoder), _) => Look::Pictures(Arc::new(decoding::draft_pictures(&mut self.rec, decoder, &frames)?)),
            (None, Some(rgb)) => Look::Factors(rgb.clone()),
            (None, None) => return Err(unprepared()),
        };
        self.tell(Event::Preview(Latents::preview([channels, frames.len(), rows, cols], values, look)));
        Ok(())
    }
}
