//! A generation under way, as an iterator of events.

use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;

use web_time::Instant;

use crate::cache::steps::Steps;
use crate::driving::Stride;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Download, Recorder, Tensor, turns::Turn, turns::Wish};
use crate::models::{dit::radial::RadialAttention, vae::Vae, vae::preview::RgbFactors};
use crate::ops::lincomb::lincomb;
use crate::pipelines::checkpoint::{expert::Expert, parts::Decoders, parts::Parts};
use crate::pipelines::run::event::{Event, Progress, Stage, Step};
use crate::pipelines::run::latents::{self, Latents, Look};
use crate::pipelines::run::state::{Denoised, Position, Reused, State};
use crate::pipelines::run::{
    canvas::Canvas, color_anchor::ColorAnchor, course::Course, decoding, decoding::Decoding, decoding::Wanted, decoding::check_finite,
    denoise::Denoiser, description::Description, forecast::Forecast, job::Job, job::unprepared, pace::Left, pace::Pace, resume,
    reuse::Reuse, settings::Settings,
};
use crate::schedulers::{LATENTS, SolverPlan};

/// Steps that a plan looks at, with each expert: solvers hold no more of the past. The others are like the last of them.
const PLANNED_STEPS: usize = 5;

/// Makes frames as it is asked for events; ends after the last frame, or after the first error. Dropping it stops the work.
///
/// Whatever the error, a lost GPU among them, [`state`](Self::state) still tells how far it came.
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
#[must_use = "nothing is made before it is asked for events"]
pub struct Generation {
    /// Until it is over.
    job: Option<Box<dyn Job>>,
    vae: Vae,
    decoders: Decoders,
    settings: Settings,
    canvas: Canvas,
    plan: SolverPlan,
    reuse: Reuse,
    rec: Recorder,
    phase: Phase,
    queue: VecDeque<Queued>,
    /// Who made the last step.
    expert: Option<Expert>,
    /// Evaluations by it, or by the only transformer.
    passes: usize,
    /// Where there are previews, once all is encoded.
    rgb: Option<Arc<RgbFactors>>,
    pace: Pace,
    /// When the stage began, or its last piece of which the time is known.
    since: Instant,
    /// When the GPU is done with the last step.
    step_end: Option<Instant>,
    forecast: Forecast,
    /// From the first event on, until it is over.
    turn: Option<Turn>,
    /// Where the work stands. Latents are there before a segment's first step alone.
    position: Position,
    /// What has been told so far, but for the step whose latents are still on their way.
    state: State,
    latest: Option<Box<Reached>>,
    /// The first frame that is to leave; those before had left when the state was saved that this goes on from.
    first_frame: usize,
}

/// What comes next, in the video and segment of the state's position.
enum Phase {
    Preprocess,
    /// From a piece on.
    Encode(usize),
    Video,
    Begin,
    /// From a piece on.
    Condition(Denoiser, usize),
    Step(Denoiser),
    Switch(Denoiser, Expert),
    Decode(Box<Decoding>),
    Done,
}

impl Phase {
    fn name(&self) -> &'static str {
        match self {
            Self::Preprocess => "preprocessing",
            Self::Encode(..) => "encoding",
            Self::Begin | Self::Condition(..) => "conditioning",
            Self::Step(..) => "denoising",
            Self::Switch(..) => "switching",
            Self::Decode(..) => "decoding",
            Self::Video | Self::Done => "",
        }
    }
}

/// What is to be told, in order; a position is reached once all before it has been told.
enum Queued {
    Event(Event),
    Position(Arc<Position>),
    Step(Box<Reached>),
}

/// A position after a step, whose latents are on their way to the host while the next step begins.
struct Reached {
    position: Position,
    done: usize,
    reused: Reused,
    slots: Vec<Option<Download>>,
}

impl Reached {
    /// Waits for the latents.
    fn position(&self) -> Result<Position> {
        let slots = self.slots.iter().map(|slot| slot.as_ref().map(Download::wait).transpose()).collect::<Result<_>>()?;
        Ok(Position { denoised: Some(Denoised { done: self.done, slots, reused: self.reused.clone() }), ..self.position.clone() })
    }
}

impl Generation {
    /// With settings that were checked but for the noise and the state to go on from.
    pub(crate) fn new<T>(
        parts: &Parts<T>,
        settings: Settings,
        course: Course,
        canvas: Canvas,
        mut description: Description,
        job: Box<dyn Job>,
        forecast: Forecast,
    ) -> Result<Self> {
        check_noise(settings.noise.as_deref(), &canvas)?;
        settings.describe(&course.plan, &canvas, &mut description);
        let state = resume::begin(&settings, &course, &canvas, description)?;
        let Course { plan, steps, calibration } = course;
        // A plan looks at few steps: at one that is dense, if any is.
        let fewer = |radial: RadialAttention| if settings.is_planned { radial.dense_steps(radial.dense_steps.min(1)) } else { radial };
        let reuse = Reuse::new(steps, calibration, settings.radial.map(fewer));
        let (phase, stage) = match job.has_raw_video() {
            true => (Phase::Preprocess, Stage::Preprocessing),
            false => (Phase::Encode(0), Stage::Encoding),
        };
        Ok(Self {
            job: Some(job),
            vae: parts.vae.clone(),
            decoders: parts.decoders.clone(),
            rec: Recorder::new(&parts.device, settings.cancel.clone()),
            settings,
            canvas,
            plan,
            reuse,
            phase,
            queue: VecDeque::from([Queued::Event(Event::Stage(stage))]),
            expert: None,
            passes: 0,
            rgb: None,
            pace: Pace::new(forecast.weights),
            since: Instant::now(),
            step_end: None,
            forecast,
            turn: None,
            first_frame: state.frames,
            position: (*state.position).clone(),
            state,
            latest: None,
        })
    }

    /// Frames of each video that will be made.
    pub fn num_frames(&self) -> usize {
        self.canvas.segments.frames()
    }

    /// How many frames each video begins with that were given by
    /// [`continue_from`](crate::AnimateRequest::continue_from). They are among neither the events nor [`num_frames`](Self::num_frames).
    pub fn num_given_frames(&self) -> usize {
        self.canvas.segments.carried(0)
    }

    /// Of Animate: the [`frame_offset`](crate::AnimateRequest::frame_offset) with which another generation goes on with the same inputs,
    /// once this one has made all its frames.
    pub fn next_frame_offset(&self) -> usize {
        self.canvas.segments.next_input()
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
        let (width, height) = self.canvas.crop.size;
        (width as u32, height as u32)
    }

    /// Whether a [`draft_decoder`](crate::Builder::draft_decoder) makes the frames, in place of the VAE's.
    pub fn is_draft(&self) -> bool {
        self.decoders.draft.is_some()
    }

    /// Which evaluations are computed.
    pub(crate) fn steps(&self) -> &Steps {
        self.reuse.steps()
    }

    /// Where tokens need not see all others: the part of all pairs that is left to see, and how many steps are dense.
    pub(crate) fn radial(&self) -> Option<(f64, usize)> {
        let radial = self.reuse.radial()?;
        Some((radial.share(self.canvas.latent_frames_of_a_pass(), self.canvas.tokens_of_a_frame()), radial.dense_steps))
    }

    /// Tells of a setting that may do harm, before anything else.
    pub(crate) fn warn(&mut self, warning: String) {
        if !self.settings.is_planned {
            log::warn!("{warning}");
        }
        self.queue.push_front(Queued::Event(Event::Warning(warning)));
    }

    /// See [`Canvas::smaller_tiles`].
    pub(crate) fn smaller_tiles(&self) -> Vec<u32> {
        self.canvas.smaller_tiles(self.vae.config())
    }

    /// Where it stands, after the last event that it gave; also after an error. The latents of the last step may have to be waited for,
    /// for about a submission; where the GPU is lost meanwhile, it is the state a step before.
    pub fn state(&self) -> State {
        let latest = self.latest.as_ref().and_then(|latest| latest.position().ok());
        latest.map_or_else(|| self.state.clone(), |position| State { position: Arc::new(position), ..self.state.clone() })
    }

    /// The state takes over what is on its way.
    fn arrive(&mut self) {
        self.state = self.state();
        self.latest = None;
    }

    fn segment(&self) -> usize {
        self.position.segment
    }

    fn tell(&mut self, event: Event) {
        self.queue.push_back(Queued::Event(event));
    }

    fn reach(&mut self, position: Position) {
        self.queue.push_back(Queued::Position(Arc::new(position.clone())));
        self.position = position;
    }

    /// One piece of work, once all before has been told. After an error the phase is `Done`.
    fn work(&mut self) -> Result<()> {
        let phase = std::mem::replace(&mut self.phase, Phase::Done);
        if self.settings.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        self.rec.set_stage(phase.name());
        self.phase = match phase {
            Phase::Preprocess => self.preprocess()?,
            Phase::Encode(piece) => self.encode(piece)?,
            Phase::Video => self.begin_video(),
            Phase::Begin => self.begin_conditioning()?,
            Phase::Condition(denoiser, piece) => self.condition(denoiser, piece)?,
            Phase::Step(denoiser) => self.step(denoiser)?,
            Phase::Switch(denoiser, expert) => self.switch(denoiser, expert)?,
            Phase::Decode(decoding) => self.decode(decoding)?,
            Phase::Done => Phase::Done,
        };
        Ok(())
    }

    /// Waits for its turn on the device, if it has none.
    fn take_turn(&mut self) -> Result<()> {
        let device = self.rec.device();
        match &self.turn {
            Some(turn) => turn.go_on(),
            None if self.settings.is_planned || matches!(self.phase, Phase::Done) => {}
            None => {
                let wish = Wish { when_busy: self.settings.when_busy, peak: self.forecast.peak, room: device.room() };
                let turn = device.turns().take(wish, &self.settings.cancel)?;
                self.turn = Some(turn);
                self.since = Instant::now();
            }
        }
        Ok(())
    }

    /// It is over: what it has on the GPU is given back, and others may work there.
    fn end(&mut self) {
        (self.phase, self.job) = (Phase::Done, None);
        self.rec.trim();
        self.turn = None;
    }

    /// Waits for the GPU and lets go of what it no longer needs.
    fn settle(&mut self) -> Result<()> {
        self.rec.finish()?;
        self.rec.trim();
        Ok(())
    }

    fn enter(&mut self, stage: Stage) {
        self.log(&stage);
        self.since = Instant::now();
        self.tell(Event::Stage(stage));
    }

    fn log(&self, what: &dyn fmt::Display) {
        if !self.settings.is_planned {
            log::info!("{what}; what was before took {:.2} s", self.since.elapsed().as_secs_f64());
        }
    }

    fn preprocess(&mut self) -> Result<Phase> {
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

    fn encode(&mut self, piece: usize) -> Result<Phase> {
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

    fn progress(&mut self, stage: Stage, done: usize, total: usize, left: Left) {
        self.tell(Event::Progress(Progress { stage, done, total, remaining: self.pace.remaining(left) }));
    }

    /// What of this segment is left from a step on, with all of the later ones. Steps that reuse take next to no time.
    fn left(&self, step: usize, conditionings: f64, decodings: f64) -> Left {
        let steps = self.steps();
        let videos = self.settings.num_videos - 1 - self.position.video;
        let later = videos * self.num_segments() + self.num_segments() - 1 - self.segment();
        let steps = later * steps.computed_from(0) + steps.computed_from(step);
        Left { steps, conditionings: later as f64 + conditionings, decodings: later as f64 + decodings }
    }

    fn begin_video(&mut self) -> Phase {
        let index = self.position.video;
        if self.settings.num_videos > 1 {
            self.tell(Event::Video { index, seed: self.settings.seed.wrapping_add(index as u64) });
        }
        self.begin_segment(self.segment())
    }

    fn begin_segment(&mut self, segment: usize) -> Phase {
        self.enter(Stage::Conditioning { segment });
        Phase::Begin
    }

    fn begin_conditioning(&mut self) -> Result<Phase> {
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

    fn condition(&mut self, denoiser: Denoiser, piece: usize) -> Result<Phase> {
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

    fn step(&mut self, mut denoiser: Denoiser) -> Result<Phase> {
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

    fn switch(&mut self, denoiser: Denoiser, expert: Expert) -> Result<Phase> {
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

    fn begin_decoding(&mut self, denoiser: &Denoiser) -> Result<Phase> {
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

    fn decode(&mut self, mut decoding: Box<Decoding>) -> Result<Phase> {
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

fn check_noise(noise: Option<&[Latents]>, canvas: &Canvas) -> Result<()> {
    let Some(noise) = noise else { return Ok(()) };
    let count = canvas.segments.count();
    if noise.len() < count {
        return Err(Error::Input(format!("initial noise for {} segments, the video has {count}", noise.len())));
    }
    noise.iter().take(count).enumerate().try_for_each(|(k, latents)| latents.check_noise(k, canvas.latents))
}

impl Iterator for Generation {
    type Item = Result<Event>;

    fn size_hint(&self) -> (usize, Option<usize>) {
        // An error may end it any time.
        let is_over = self.queue.is_empty() && matches!(self.phase, Phase::Done);
        (0, is_over.then_some(0))
    }

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.queue.pop_front() {
                Some(Queued::Position(position)) => (self.state.position, self.latest) = (position, None),
                Some(Queued::Step(reached)) => {
                    self.arrive();
                    self.latest = Some(reached);
                }
                Some(Queued::Event(event)) => {
                    self.state.frames += usize::from(matches!(event, Event::Frame(_) | Event::Texture(_)));
                    self.rec.pause();
                    return Some(Ok(event));
                }
                None if matches!(self.phase, Phase::Done) => return None,
                None => {
                    if let Err(error) = self.take_turn().and_then(|()| self.work()) {
                        self.queue.clear();
                        self.end();
                        return Some(Err(error));
                    }
                    if matches!(self.phase, Phase::Done) {
                        self.log(&"all frames are made");
                        self.end();
                    }
                }
            }
        }
    }
}

/// Nothing comes after the last frame, and nothing after an error.
impl FusedIterator for Generation {}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Generation").field("canvas", &self.canvas).finish_non_exhaustive()
    }
}
