//! A generation under way, as an iterator of events.

mod frames;
mod inputs;
mod queued;
mod steps;

use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;

use web_time::Instant;

use crate::cache::steps::Steps;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, turns::Turn, turns::Wish};
use crate::models::{dit::radial::RadialAttention, vae::Vae, vae::preview::RgbFactors};
use crate::pipelines::checkpoint::{expert::Expert, parts::Decoders, parts::Parts};
use crate::pipelines::run::event::{Event, Progress, Stage};
use crate::pipelines::run::generation::queued::{Queued, Reached};
use crate::pipelines::run::latents::Latents;
use crate::pipelines::run::state::{Position, State};
use crate::pipelines::run::{
    canvas::Canvas, course::Course, decoding::Decoding, denoise::Denoiser, description::Description, forecast::Forecast, job::Job,
    pace::Left, pace::Pace, resume, reuse::Reuse, settings::Settings,
};
use crate::schedulers::SolverPlan;

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
