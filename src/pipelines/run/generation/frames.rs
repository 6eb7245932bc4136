//! A generation from a segment's latents to its frames.

use std::sync::Arc;

use web_time::Instant;

use crate::error::Result;
use crate::pipelines::run::event::{Event, Stage};
use crate::pipelines::run::generation::{Generation, Phase};
use crate::pipelines::run::state::Position;
use crate::pipelines::run::{
    color_anchor::ColorAnchor, decoding::Decoding, decoding::Wanted, decoding::check_finite, denoise::Denoiser, job::unprepared,
};

impl Generation {
    pub(super) fn begin_decoding(&mut self, denoiser: &Denoiser) -> Result<Phase> {
        self.enter(Stage::Decoding { segment: self.segment() });
        let latents = denoiser.latents()?;
        // Looked at here too, because the decoder clamps what it makes, and so would hide infinities.
        check_finite(&self.rec.download(latents)?, "latents", self.segment())?;
        self.arrive();
        self.tell_calibration()?;
        self.job.as_mut().ok_or_else(unprepared)?.decode();
        self.settle()?;
        self.since = Instant::now();
        let latents = self.vae.latent_frames(&mut self.rec, latents)?;
        let latents = self.job.as_ref().ok_or_else(unprepared)?.finished(latents);
        let (draft, wanted) = (self.decoders.draft.as_ref(), self.wanted_frames());
        Ok(Phase::Decode(Box::new(Decoding::new(&self.vae, draft, latents, &self.canvas, self.segment(), wanted))))
    }

    fn wanted_frames(&self) -> Wanted {
        let (segments, segment) = (&self.canvas.segments, self.segment());
        if self.settings.textures {
            return Wanted::Textures;
        }
        let (frames, overlap, strength) = (segments.segment_frames(), segments.carried(segment), self.settings.color_anchor);
        Wanted::Samples(self.position.carried.clone().map(|before| ColorAnchor::new(segment, strength, frames, overlap, before)))
    }

    /// After the last step of all.
    fn tell_calibration(&mut self) -> Result<()> {
        let is_last = self.segment() + 1 == self.num_segments() && self.position.video + 1 == self.settings.num_videos;
        match self.reuse.calibration().filter(|_| is_last && !self.settings.is_planned) {
            Some(calibration) => {
                let curve = calibration.curve()?;
                self.tell(Event::Calibrated(curve));
                Ok(())
            }
            None => Ok(()),
        }
    }

    pub(super) fn decode(&mut self, mut decoding: Box<Decoding>) -> Result<Phase> {
        let segment = self.segment();
        let Some(frames) = decoding.next(&mut self.rec)? else { return Ok(self.end_segment(decoding.into_last())) };
        let before = self.position.video * self.num_frames();
        for (index, frame) in decoding.take_frames(frames)? {
            if before + index >= self.first_frame {
                self.tell(frame);
            }
        }
        let (done, total) = decoding.progress();
        self.pace.decoding(1.0 / total as f64, self.since.elapsed());
        self.since = Instant::now();
        self.progress(Stage::Decoding { segment }, done, total, self.left(self.num_steps(), 0.0, 1.0 - done as f64 / total as f64));
        Ok(Phase::Decode(decoding))
    }

    fn end_segment(&mut self, last: Option<Vec<f32>>) -> Phase {
        let Position { video, segment, generator, .. } = &self.position;
        if segment + 1 < self.num_segments() {
            let (video, segment) = (*video, segment + 1);
            self.reach(Position { video, segment, denoised: None, generator: generator.clone(), carried: last.map(Arc::new) });
            return self.begin_segment(segment);
        }
        let video = video + 1;
        if video == self.settings.num_videos {
            return Phase::Done;
        }
        self.reach(self.settings.start(video));
        Phase::Video
    }
}
