//! A generation under way, as an iterator of events.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::gpu::Recorder;
use crate::models::vae::Vae;
use crate::models::vae::decoder::Decoder;
use crate::ops::copy::{concat, slice};
use crate::ops::lincomb::lincomb;
use crate::pipelines::denoise::Denoiser;
use crate::pipelines::event::{Event, Stage, Step};
use crate::pipelines::experts::Expert;
use crate::pipelines::latents::{self, Latents};
use crate::pipelines::parts::Parts;
use crate::pipelines::request::Settings;
use crate::pipelines::segments::Segments;
use crate::rng::Generator;
use crate::schedulers::Plan;
use crate::tensor::Tensor;
use crate::video::Frame;

/// What is particular to a kind of generation: everything around the model. The loop is [`Generation`]'s.
pub(crate) trait Job: Send {
    /// Computes what all segments of all videos share.
    fn encode(&mut self, rec: &mut Recorder) -> Result<()>;

    /// Computes what the steps of segment `k` look at. `carried` [F, H, W, 3] are the last frames of the segment before.
    fn condition(&mut self, rec: &mut Recorder, k: usize, carried: Option<&Tensor>) -> Result<()>;

    /// Which of two experts makes the step at a timestep; none where there is one transformer.
    fn expert(&self, _timestep: f64) -> Option<Expert> {
        None
    }

    /// Makes an expert ready for the steps that follow.
    fn switch(&mut self, _rec: &mut Recorder, _expert: Expert) -> Result<()> {
        Ok(())
    }

    /// The model's prediction for latents [C, T, H, W], after guidance.
    fn velocity(&mut self, rec: &mut Recorder, latents: &Tensor, timestep: f64) -> Result<Tensor>;

    /// What of the latent frames is the video's, once the steps are done.
    fn finished(&self, frames: Vec<Tensor>) -> Vec<Tensor>;
}

/// Makes frames as it is asked for events; ends after the last frame, or after the first error. Dropping it stops the work.
///
/// ```no_run
/// # fn run(generation: wan_animate::Generation) -> wan_animate::Result<()> {
/// for event in generation {
///     if let wan_animate::Event::Frame(frame) = event? {
///         println!("{}x{}", frame.width(), frame.height());
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Generation<'a> {
    job: Box<dyn Job + 'a>,
    vae: &'a Vae,
    settings: Settings,
    canvas: Canvas,
    plan: Plan,
    rec: Recorder,
    generator: Generator,
    phase: Phase<'a>,
    events: VecDeque<Event>,
    video: usize,
    /// Who made the last step.
    expert: Option<Expert>,
    /// The last frames [F, H, W, 3] of the segment before.
    carried: Option<Tensor>,
    pace: Pace,
}

/// What a generation fills.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Canvas {
    /// Width and height in pixels.
    pub size: (usize, usize),
    pub segments: Segments,
    /// [C, T, H, W] of the latents of a segment.
    pub latents: [usize; 4],
}

/// What comes next.
enum Phase<'a> {
    Encode,
    Video,
    Condition(usize),
    Step(usize, Denoiser),
    Switch(usize, Denoiser, Expert),
    Decode(usize, Decoding<'a>),
    Done,
}

struct Decoding<'a> {
    decoder: Decoder<'a>,
    latents: VecDeque<Tensor>,
    /// Decoded frames so far.
    frames: usize,
    /// The last of them, as many as the next segment begins with.
    last: Option<Tensor>,
}

/// How long evaluations take.
#[derive(Default)]
struct Pace {
    done: u32,
    elapsed: Duration,
}

impl<'a> Generation<'a> {
    /// With settings that were checked but for the noise.
    pub(crate) fn new<T>(parts: &'a Parts<T>, settings: Settings, plan: Plan, canvas: Canvas, job: impl Job + 'a) -> Result<Self> {
        check_noise(settings.noise.as_deref(), &canvas)?;
        Ok(Self {
            job: Box::new(job),
            vae: &parts.vae,
            rec: Recorder::new(&parts.device, settings.cancel.clone()),
            generator: Generator::new(settings.seed),
            settings,
            canvas,
            plan,
            phase: Phase::Encode,
            events: VecDeque::from([Event::Stage(Stage::Encoding)]),
            video: 0,
            expert: None,
            carried: None,
            pace: Pace::default(),
        })
    }

    /// Frames of each video that will be made.
    pub fn num_frames(&self) -> usize {
        self.canvas.segments.frames()
    }

    /// Segments of each video.
    pub fn num_segments(&self) -> usize {
        self.canvas.segments.count()
    }

    /// Evaluations of the model that a segment takes, and with them [`Event::Step`]s.
    pub fn num_steps(&self) -> usize {
        self.plan.evaluations.len()
    }

    /// Width and height of the frames in pixels.
    pub fn size(&self) -> (u32, u32) {
        let (width, height) = self.canvas.size;
        (width as u32, height as u32)
    }

    /// One piece of work. After an error the phase is `Done`.
    fn work(&mut self) -> Result<()> {
        let phase = std::mem::replace(&mut self.phase, Phase::Done);
        if self.settings.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        self.phase = match phase {
            Phase::Encode => self.encode()?,
            Phase::Video => self.begin_video(),
            Phase::Condition(k) => self.condition(k)?,
            Phase::Step(k, denoiser) => self.step(k, denoiser)?,
            Phase::Switch(k, denoiser, expert) => self.switch(k, denoiser, expert)?,
            Phase::Decode(k, decoding) => self.decode(k, decoding)?,
            Phase::Done => Phase::Done,
        };
        Ok(())
    }

    /// Waits for the GPU and lets go of what it no longer needs.
    fn settle(&mut self) -> Result<()> {
        self.rec.finish()?;
        self.rec.trim();
        Ok(())
    }

    fn encode(&mut self) -> Result<Phase<'a>> {
        self.job.encode(&mut self.rec)?;
        self.settle()?;
        Ok(Phase::Video)
    }

    fn begin_video(&mut self) -> Phase<'a> {
        let seed = self.settings.seed.wrapping_add(self.video as u64);
        if self.settings.num_videos > 1 {
            self.events.push_back(Event::Video { index: self.video, seed });
        }
        self.generator = Generator::new(seed);
        self.carried = None;
        self.begin_segment(0)
    }

    fn begin_segment(&mut self, k: usize) -> Phase<'a> {
        self.events.push_back(Event::Stage(Stage::Conditioning { segment: k }));
        Phase::Condition(k)
    }

    fn condition(&mut self, k: usize) -> Result<Phase<'a>> {
        let noise = self.noise(k)?;
        self.job.condition(&mut self.rec, k, self.carried.as_ref())?;
        self.settle()?;
        self.events.push_back(Event::Stage(Stage::Denoising { segment: k }));
        Ok(Phase::Step(k, Denoiser::new(&self.plan, noise)))
    }

    fn noise(&mut self, k: usize) -> Result<Tensor> {
        let shape = self.canvas.latents;
        match &self.settings.noise {
            Some(noise) => self.rec.upload(&shape, &noise[k].values),
            None => self.rec.upload(&shape, &self.generator.normal(shape.iter().product())),
        }
    }

    fn step(&mut self, k: usize, mut denoiser: Denoiser) -> Result<Phase<'a>> {
        let begun = Instant::now();
        let done = denoiser.done();
        let Some(evaluation) = self.plan.evaluations.get(done).cloned() else { return self.begin_decoding(k, &denoiser) };
        if let Some(expert) = self.job.expert(evaluation.timestep).filter(|expert| self.expert != Some(*expert)) {
            self.events.push_back(Event::Stage(Stage::Switching { expert }));
            return Ok(Phase::Switch(k, denoiser, expert));
        }
        let velocity = self.job.velocity(&mut self.rec, denoiser.latents()?, evaluation.timestep)?;
        if self.settings.previews {
            self.preview(denoiser.latents()?, &velocity, evaluation.sigma)?;
        }
        let (shape, generator) = (self.canvas.latents, &mut self.generator);
        denoiser.advance(&mut self.rec, &evaluation, &velocity, |rec| {
            let values = generator.normal(shape.iter().product());
            rec.upload(&shape, &values)
        })?;
        self.rec.finish()?;
        let elapsed = begun.elapsed();
        let remaining = self.remaining(k, done, elapsed);
        self.events.push_back(Event::Step(Step {
            segment: k,
            segments: self.num_segments(),
            step: done,
            steps: self.num_steps(),
            sigma: evaluation.sigma,
            expert: self.expert,
            elapsed,
            remaining,
        }));
        Ok(Phase::Step(k, denoiser))
    }

    fn switch(&mut self, k: usize, denoiser: Denoiser, expert: Expert) -> Result<Phase<'a>> {
        self.settle()?;
        self.job.switch(&mut self.rec, expert)?;
        self.rec.finish()?;
        self.expert = Some(expert);
        self.events.push_back(Event::Stage(Stage::Denoising { segment: k }));
        Ok(Phase::Step(k, denoiser))
    }

    fn preview(&mut self, latents: &Tensor, velocity: &Tensor, sigma: f64) -> Result<()> {
        let data = lincomb(&mut self.rec, &[(1.0, latents), (-sigma, velocity)], crate::DType::F32)?;
        let frames = self.vae.latent_frames(&mut self.rec, &data)?;
        let frames = self.job.finished(frames);
        let data = latents::join(&mut self.rec, &frames)?;
        let [channels, _, rows, cols] = self.canvas.latents;
        let values = self.rec.download(&data)?;
        self.events.push_back(Event::Preview(Latents { shape: [channels, frames.len(), rows, cols], values }));
        Ok(())
    }

    fn remaining(&mut self, k: usize, done: usize, elapsed: Duration) -> Duration {
        self.pace.done += 1;
        self.pace.elapsed += elapsed;
        let segments = (self.settings.num_videos - 1 - self.video) * self.num_segments() + self.num_segments() - 1 - k;
        let left = segments * self.num_steps() + self.num_steps() - 1 - done;
        self.pace.elapsed.mul_f64(left as f64 / f64::from(self.pace.done))
    }

    fn begin_decoding(&mut self, k: usize, denoiser: &Denoiser) -> Result<Phase<'a>> {
        self.events.push_back(Event::Stage(Stage::Decoding { segment: k }));
        let latents = denoiser.latents()?;
        // Looked at here too, because the decoder clamps what it makes, and so would hide infinities.
        check_finite(&self.rec.download(latents)?, "latents", k)?;
        let latents = self.vae.latent_frames(&mut self.rec, latents)?;
        let latents = self.job.finished(latents).into();
        Ok(Phase::Decode(k, Decoding { decoder: self.vae.decoder(), latents, frames: 0, last: None }))
    }

    fn decode(&mut self, k: usize, mut decoding: Decoding<'a>) -> Result<Phase<'a>> {
        let Some(latent) = decoding.latents.pop_front() else { return Ok(self.end_segment(k, decoding.last)) };
        let frames = decoding.decoder.next(&mut self.rec, &latent)?;
        let samples = self.rec.download(&frames)?;
        check_finite(&samples, "pixels", k)?;
        let Canvas { size: (width, height), segments, .. } = self.canvas;
        let wanted = segments.carried(k)..segments.carried(k) + segments.new_frames(k);
        for samples in samples.chunks(width * height * 3) {
            if wanted.contains(&decoding.frames) {
                let samples = samples.iter().map(|sample| sample / 2.0 + 0.5).collect();
                self.events.push_back(Event::Frame(Frame::new(width as u32, height as u32, samples)?));
            }
            decoding.frames += 1;
        }
        decoding.last = self.last_frames(decoding.last.as_ref(), &frames)?;
        Ok(Phase::Decode(k, decoding))
    }

    /// The last of all frames so far, as many as segments overlap by.
    fn last_frames(&mut self, before: Option<&Tensor>, frames: &Tensor) -> Result<Option<Tensor>> {
        let overlap = self.canvas.segments.overlap();
        if overlap == 0 {
            return Ok(None);
        }
        let all = match before {
            Some(before) => concat(&mut self.rec, &[before, frames])?,
            None => frames.clone(),
        };
        let count = overlap.min(all.shape()[0]);
        slice(&mut self.rec, &all, all.shape()[0] - count, count).map(Some)
    }

    fn end_segment(&mut self, k: usize, last: Option<Tensor>) -> Phase<'a> {
        self.carried = last;
        if k + 1 < self.num_segments() {
            return self.begin_segment(k + 1);
        }
        self.video += 1;
        if self.video < self.settings.num_videos { Phase::Video } else { Phase::Done }
    }
}

fn check_noise(noise: Option<&[Latents]>, canvas: &Canvas) -> Result<()> {
    let Some(noise) = noise else { return Ok(()) };
    let count = canvas.segments.count();
    if noise.len() < count {
        return Err(Error::Input(format!("initial noise for {} segments, the video has {count}", noise.len())));
    }
    noise.iter().take(count).enumerate().try_for_each(|(k, latents)| latents.check_noise(k, canvas.latents))
}

fn check_finite(values: &[f32], what: &str, k: usize) -> Result<()> {
    if values.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    Err(Error::Unsupported(format!(
        "segment {} has {what} that are not finite: the model's numbers left the range of this precision; try `Precision::F32`",
        k + 1
    )))
}

/// Cannot happen: [`Job::encode`] and [`Job::condition`] come before the steps.
pub(crate) fn unprepared() -> Error {
    Error::Unsupported("a generation that was not prepared".into())
}

impl Iterator for Generation<'_> {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(Ok(event));
            }
            if matches!(self.phase, Phase::Done) {
                return None;
            }
            if let Err(error) = self.work() {
                self.events.clear();
                return Some(Err(error));
            }
        }
    }
}

impl fmt::Debug for Generation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Generation").field("canvas", &self.canvas).finish_non_exhaustive()
    }
}
