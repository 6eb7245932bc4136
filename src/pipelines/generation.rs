//! A generation under way, as an iterator of events.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::Recorder;
use crate::models::dit::Context;
use crate::models::dit::animate::{Face, Pose};
use crate::models::vae::decoder::Decoder;
use crate::ops::copy::{concat, slice};
use crate::ops::lincomb::lincomb;
use crate::ops::permute::permute;
use crate::pipelines::conditioning::{assemble, fold, keep};
use crate::pipelines::denoise::Denoiser;
use crate::pipelines::event::{Event, Stage, Step};
use crate::pipelines::parts::Parts;
use crate::pipelines::request::{AnimateRequest, Latents, Task};
use crate::pipelines::segments::Segments;
use crate::rng::Generator;
use crate::schedulers::Plan;
use crate::tensor::Tensor;
use crate::video::{Frame, Frames, preprocess};

/// Pixels of a latent pixel's side.
const SCALE: usize = 8;

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
    parts: &'a Parts,
    request: AnimateRequest<'a>,
    size: (usize, usize),
    segments: Segments,
    plan: Plan,
    rec: Recorder,
    generator: Generator,
    phase: Phase<'a>,
    events: VecDeque<Event>,
    shared: Option<Shared>,
    video: usize,
    /// The last frames [F, H, W, 3] of the segment before.
    carried: Option<Tensor>,
    pace: Pace,
}

/// What comes next.
enum Phase<'a> {
    Encode,
    Video,
    Condition(usize),
    Step(usize, Box<Window>),
    Decode(usize, Decoding<'a>),
    Done,
}

/// What all segments of all videos share.
struct Shared {
    /// With the prompt, and with the negative prompt where there is guidance.
    contexts: Vec<Context>,
    /// Latents [C, 1, H, W] of the reference, on the host.
    reference: Vec<f32>,
    /// The motion vector of an empty face.
    no_face: Tensor,
}

/// What one segment's steps look at.
struct Window {
    denoiser: Denoiser,
    conditioning: Tensor,
    pose: Pose,
    /// The segment's, and an empty one where there is guidance.
    faces: Vec<Face>,
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
    pub(crate) fn new(request: AnimateRequest<'a>) -> Result<Self> {
        request.check_numbers()?;
        let size = request.checked_size()?;
        let segments = request.checked_segments()?;
        let parts = request.pipeline.parts().as_ref();
        let mut config = parts.scheduler.clone();
        if let Some(scheduler) = request.scheduler {
            config = config.with_scheduler(scheduler);
        }
        if let Some(shift) = request.shift {
            config = config.with_shift(shift);
        }
        let generation = Self {
            plan: config.plan(request.num_inference_steps)?,
            rec: Recorder::new(&parts.device, request.cancel.clone()),
            generator: Generator::new(request.seed),
            phase: Phase::Encode,
            events: VecDeque::from([Event::Stage(Stage::Encoding)]),
            shared: None,
            video: 0,
            carried: None,
            pace: Pace::default(),
            parts,
            request,
            size,
            segments,
        };
        generation.check_noise()?;
        Ok(generation)
    }

    /// Frames of each video that will be made.
    pub fn num_frames(&self) -> usize {
        self.segments.frames()
    }

    /// Segments of each video.
    pub fn num_segments(&self) -> usize {
        self.segments.count()
    }

    /// Evaluations of the model that a segment takes, and with them [`Event::Step`]s.
    pub fn num_steps(&self) -> usize {
        self.plan.evaluations.len()
    }

    /// Width and height of the frames in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.size.0 as u32, self.size.1 as u32)
    }

    fn guided(&self) -> bool {
        self.request.guidance_scale > 1.0
    }

    /// [C, T + 1, H, W] of a segment's latents.
    fn latent_shape(&self) -> [usize; 4] {
        let (width, height) = self.size;
        [self.parts.vae.config().z_dim, self.segments.latent_frames() + 1, height / SCALE, width / SCALE]
    }

    fn check_noise(&self) -> Result<()> {
        let Some(noise) = &self.request.noise else { return Ok(()) };
        let (shape, count) = (self.latent_shape(), self.segments.count());
        if noise.len() < count {
            return Err(Error::Input(format!("initial noise for {} segments, the video has {count}", noise.len())));
        }
        for (k, latents) in noise.iter().take(count).enumerate() {
            if latents.shape != shape || latents.values.len() != shape.iter().product::<usize>() {
                let (got, values) = (latents.shape, latents.values.len());
                return Err(Error::Input(format!("the noise of segment {k} is {got:?} with {values} values, expected {shape:?}")));
            }
            if latents.values.iter().any(|value| !value.is_finite()) {
                return Err(Error::Input(format!("the noise of segment {k} has values that are not finite")));
            }
        }
        Ok(())
    }

    /// One piece of work.
    fn work(&mut self) -> Result<()> {
        if self.request.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        self.phase = match std::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Encode => self.encode()?,
            Phase::Video => self.begin_video(),
            Phase::Condition(k) => self.condition(k)?,
            Phase::Step(k, window) => self.step(k, window)?,
            Phase::Decode(k, decoding) => self.decode(k, decoding)?,
            Phase::Done => Phase::Done,
        };
        Ok(())
    }

    fn encode(&mut self) -> Result<Phase<'a>> {
        let mut prompts = vec![self.request.prompt.as_str()];
        if self.guided() {
            prompts.push(&self.request.negative_prompt);
        }
        let rec = &mut self.rec;
        let texts = self.parts.text_embeddings(rec, &prompts)?;
        let image = self.parts.image_embeddings(rec, self.request.reference)?;
        let transformer = &self.parts.transformer;
        let contexts = texts.iter().map(|text| transformer.context(rec, text, Some(&image))).collect::<Result<_>>()?;

        let (width, height) = self.size;
        let reference = preprocess::reference(self.request.reference, width as u32, height as u32)?;
        let reference = rec.upload(&[1, 3, height, width], &reference)?;
        let reference = permute(rec, &reference, &[0, 2, 3, 1], DType::F32)?;
        let reference = self.parts.vae.encode(rec, &reference)?;
        let reference = rec.download(&reference)?;

        let side = transformer.config().motion_encoder_size;
        let no_face = rec.upload(&[1, side, side, 3], &vec![-1.0; side * side * 3])?;
        let no_face = transformer.motion(rec, &no_face)?;
        rec.finish()?;
        rec.arena().trim();
        self.shared = Some(Shared { contexts, reference, no_face });
        Ok(Phase::Video)
    }

    fn begin_video(&mut self) -> Phase<'a> {
        let seed = self.request.seed.wrapping_add(self.video as u64);
        if self.request.num_videos > 1 {
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
        let conditioning = self.conditioning(k)?;
        let pose = self.pose(k)?;
        let faces = self.faces(k)?;
        self.rec.finish()?;
        self.rec.arena().trim();
        self.events.push_back(Event::Stage(Stage::Denoising { segment: k }));
        Ok(Phase::Step(k, Box::new(Window { denoiser: Denoiser::new(&self.plan, noise), conditioning, pose, faces })))
    }

    fn noise(&mut self, k: usize) -> Result<Tensor> {
        let shape = self.latent_shape();
        match &self.request.noise {
            Some(noise) => self.rec.upload(&shape, &noise[k].values),
            None => {
                let values = self.generator.normal(shape.iter().product());
                self.rec.upload(&shape, &values)
            }
        }
    }

    /// See [`conditioning`](crate::pipelines::conditioning).
    fn conditioning(&mut self, k: usize) -> Result<Tensor> {
        let [channels, frames, rows, cols] = self.latent_shape();
        let pixels = rows * cols;
        let latents = self.encode_video(k)?;
        let masks = (0..self.segments.segment_frames()).map(|i| self.keep_mask(k, i, pixels)).collect::<Result<Vec<_>>>()?;
        let all = assemble(&self.shared()?.reference, &latents, &fold(&masks), pixels);
        self.rec.upload(&[4 + channels, frames, rows, cols], &all)
    }

    /// Latents [C, T, H, W] of the carried frames and what follows them, on the host. One frame at a time is in memory.
    fn encode_video(&mut self, k: usize) -> Result<Vec<f32>> {
        let (width, height) = self.size;
        let mut encoder = self.parts.vae.encoder();
        let mut latents = Vec::new();
        for i in 0..self.segments.segment_frames() {
            let frame = match (&self.carried, self.request.task) {
                (Some(carried), _) if i < self.segments.carried(k) => slice(&mut self.rec, carried, i, 1)?.reshape(&[height, width, 3]),
                (_, Task::Replace(scene)) => self.input_frame(scene.background(), k, i, self.size)?,
                (_, Task::Animate(_)) => self.rec.upload(&[height, width, 3], &vec![0.0; height * width * 3])?,
            };
            latents.extend(encoder.next(&mut self.rec, &frame)?);
        }
        self.join_latents(&latents)
    }

    /// Frame `i` of segment `k` of an input video, as [H, W, 3] in [-1, 1].
    fn input_frame(&mut self, video: &Frames, k: usize, i: usize, (width, height): (usize, usize)) -> Result<Tensor> {
        let image = video.read(self.source(k, i))?;
        let planes = preprocess::frame(&image, width as u32, height as u32)?;
        let planes = self.rec.upload(&[3, height, width], &planes)?;
        permute(&mut self.rec, &planes, &[1, 2, 0], DType::F32)
    }

    fn source(&self, k: usize, i: usize) -> usize {
        self.request.frame_offset + self.segments.source(k, i)
    }

    /// Latent frames [H, W, C] to [C, T, H, W] on the host.
    fn join_latents(&mut self, frames: &[Tensor]) -> Result<Vec<f32>> {
        let rows: Vec<_> = frames.iter().map(|frame| frame.reshape(&[1, frame.len() / frame.cols(), frame.cols()])).collect();
        let latents = concat(&mut self.rec, &rows.iter().collect::<Vec<_>>())?;
        let latents = permute(&mut self.rec, &latents, &[2, 0, 1], DType::F32)?;
        self.rec.download(&latents)
    }

    /// What to keep of frame `i`, [H, W] in latent pixels.
    fn keep_mask(&self, k: usize, i: usize, pixels: usize) -> Result<Vec<f32>> {
        let (width, height) = self.size;
        match self.request.task {
            _ if i < self.segments.carried(k) => Ok(vec![1.0; pixels]),
            Task::Animate(_) => Ok(vec![0.0; pixels]),
            Task::Replace(scene) => {
                let mask = preprocess::mask(&scene.read_mask(self.source(k, i))?, width as u32, height as u32)?;
                Ok(keep(&mask, width, SCALE))
            }
        }
    }

    fn pose(&mut self, k: usize) -> Result<Pose> {
        let [channels, frames, rows, cols] = self.latent_shape();
        let shape = [channels, frames - 1, rows, cols];
        let latents = match self.request.task.motion().pose() {
            None => vec![0.0; shape.iter().product()],
            Some(video) => {
                let mut encoder = self.parts.vae.encoder();
                let mut latents = Vec::new();
                for i in 0..self.segments.segment_frames() {
                    let frame = self.input_frame(video, k, i, self.size)?;
                    latents.extend(encoder.next(&mut self.rec, &frame)?);
                }
                self.join_latents(&latents)?
            }
        };
        let latents = self.rec.upload(&shape, &latents)?;
        self.parts.transformer.pose(&mut self.rec, &latents)
    }

    fn faces(&mut self, k: usize) -> Result<Vec<Face>> {
        let count = self.segments.segment_frames();
        let no_face = self.shared()?.no_face.clone();
        let empty = concat(&mut self.rec, &vec![&no_face; count])?;
        let motion = match self.request.task.motion().face() {
            None => empty.clone(),
            Some(video) => self.motion(video, k)?,
        };
        let mut motions = vec![motion];
        if self.guided() {
            motions.push(empty);
        }
        motions.iter().map(|motion| self.parts.transformer.face(&mut self.rec, motion)).collect()
    }

    /// Motion vectors of the segment's face frames, encoded a few at a time.
    fn motion(&mut self, video: &Frames, k: usize) -> Result<Tensor> {
        let config = self.parts.transformer.config();
        let (side, batch) = (config.motion_encoder_size, config.motion_encoder_batch_size);
        let count = self.segments.segment_frames();
        let mut vectors = Vec::new();
        for first in (0..count).step_by(batch) {
            let frames = (first..count.min(first + batch)).map(|i| self.input_frame(video, k, i, (side, side)));
            let frames = frames.map(|frame| Ok(frame?.reshape(&[1, side, side, 3]))).collect::<Result<Vec<_>>>()?;
            let frames = concat(&mut self.rec, &frames.iter().collect::<Vec<_>>())?;
            vectors.push(self.parts.transformer.motion(&mut self.rec, &frames)?);
        }
        concat(&mut self.rec, &vectors.iter().collect::<Vec<_>>())
    }

    fn step(&mut self, k: usize, mut window: Box<Window>) -> Result<Phase<'a>> {
        let begun = Instant::now();
        let done = window.denoiser.done();
        let Some(evaluation) = self.plan.evaluations.get(done).cloned() else { return self.begin_decoding(k, &window) };
        let velocity = self.velocity(&window, evaluation.timestep)?;
        if self.request.previews {
            let latents = window.denoiser.latents()?.clone();
            self.preview(&latents, &velocity, evaluation.sigma)?;
        }
        let (shape, generator) = (self.latent_shape(), &mut self.generator);
        window.denoiser.advance(&mut self.rec, &evaluation, &velocity, |rec| {
            let values = generator.normal(shape.iter().product());
            rec.upload(&shape, &values)
        })?;
        self.rec.finish()?;
        let elapsed = begun.elapsed();
        let remaining = self.remaining(k, done, elapsed);
        self.events.push_back(Event::Step(Step {
            segment: k,
            segments: self.segments.count(),
            step: done,
            steps: self.plan.evaluations.len(),
            sigma: evaluation.sigma,
            elapsed,
            remaining,
        }));
        Ok(Phase::Step(k, window))
    }

    /// The model's prediction, after guidance.
    fn velocity(&mut self, window: &Window, timestep: f64) -> Result<Tensor> {
        let input = concat(&mut self.rec, &[window.denoiser.latents()?, &window.conditioning])?;
        let shared = self.shared.as_ref().ok_or_else(unprepared)?;
        let mut predictions = Vec::new();
        for (context, face) in shared.contexts.iter().zip(&window.faces) {
            predictions.push(self.parts.transformer.forward(&mut self.rec, &input, timestep, context, &window.pose, face)?);
        }
        match &predictions[..] {
            [conditional, unconditional] => {
                let scale = self.request.guidance_scale;
                lincomb(&mut self.rec, &[(scale, conditional), (1.0 - scale, unconditional)], DType::F32)
            }
            _ => predictions.pop().ok_or_else(unprepared),
        }
    }

    fn preview(&mut self, latents: &Tensor, velocity: &Tensor, sigma: f64) -> Result<()> {
        let data = lincomb(&mut self.rec, &[(1.0, latents), (-sigma, velocity)], DType::F32)?;
        let values = self.rec.download(&data)?;
        let [channels, frames, rows, cols] = self.latent_shape();
        let pixels = rows * cols;
        let values = values.chunks(frames * pixels).flat_map(|channel| channel[pixels..].to_vec()).collect();
        self.events.push_back(Event::Preview(Latents { shape: [channels, frames - 1, rows, cols], values }));
        Ok(())
    }

    fn remaining(&mut self, k: usize, done: usize, elapsed: Duration) -> Duration {
        self.pace.done += 1;
        self.pace.elapsed += elapsed;
        let a_segment = self.plan.evaluations.len();
        let segments = (self.request.num_videos - 1 - self.video) * self.segments.count() + self.segments.count() - 1 - k;
        let left = segments * a_segment + a_segment - 1 - done;
        self.pace.elapsed.mul_f64(left as f64 / f64::from(self.pace.done))
    }

    fn begin_decoding(&mut self, k: usize, window: &Window) -> Result<Phase<'a>> {
        self.events.push_back(Event::Stage(Stage::Decoding { segment: k }));
        let mut latents = VecDeque::from(self.parts.vae.latent_frames(&mut self.rec, window.denoiser.latents()?)?);
        // The reference's own frame is not part of the video.
        latents.pop_front();
        Ok(Phase::Decode(k, Decoding { decoder: self.parts.vae.decoder(), latents, frames: 0, last: None }))
    }

    fn decode(&mut self, k: usize, mut decoding: Decoding<'a>) -> Result<Phase<'a>> {
        let Some(latent) = decoding.latents.pop_front() else { return Ok(self.end_segment(k, decoding.last)) };
        let frames = decoding.decoder.next(&mut self.rec, &latent)?;
        let samples = self.rec.download(&frames)?;
        if samples.iter().any(|sample| !sample.is_finite()) {
            return Err(Error::Unsupported(format!(
                "segment {} has pixels that are not finite: the model's numbers left the range of this precision; try `Precision::F32`",
                k + 1
            )));
        }
        let (width, height) = self.size;
        let wanted = self.segments.carried(k)..self.segments.carried(k) + self.segments.new_frames(k);
        for samples in samples.chunks(width * height * 3) {
            if wanted.contains(&decoding.frames) {
                let samples = samples.iter().map(|sample| sample / 2.0 + 0.5).collect();
                self.events.push_back(Event::Frame(Frame::new(width as u32, height as u32, samples)?));
            }
            decoding.frames += 1;
        }
        decoding.last = Some(self.last_frames(decoding.last.as_ref(), &frames)?);
        Ok(Phase::Decode(k, decoding))
    }

    /// The last `overlap` of all frames so far.
    fn last_frames(&mut self, before: Option<&Tensor>, frames: &Tensor) -> Result<Tensor> {
        let all = match before {
            Some(before) => concat(&mut self.rec, &[before, frames])?,
            None => frames.clone(),
        };
        let count = self.request.overlap.min(all.shape()[0]);
        slice(&mut self.rec, &all, all.shape()[0] - count, count)
    }

    fn end_segment(&mut self, k: usize, last: Option<Tensor>) -> Phase<'a> {
        self.carried = last;
        if k + 1 < self.segments.count() {
            return self.begin_segment(k + 1);
        }
        self.video += 1;
        if self.video < self.request.num_videos { Phase::Video } else { Phase::Done }
    }

    fn shared(&self) -> Result<&Shared> {
        self.shared.as_ref().ok_or_else(unprepared)
    }
}

/// Cannot happen: the first phase makes what all others share.
fn unprepared() -> Error {
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
                // `work` left the phase at `Done`: the error is the last thing to be seen.
                return Some(Err(error));
            }
        }
    }
}

impl fmt::Debug for Generation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Generation").field("size", &self.size).field("segments", &self.segments).finish_non_exhaustive()
    }
}
