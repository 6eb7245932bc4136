//! What a dry run came to.

use crate::cache::steps::Steps;
use crate::error::Result;
use crate::gpu::{Device, rehearsal::Largest};
use crate::pipelines::plan::stage::StagePlan;
use crate::pipelines::run::{arrangement::place, event::Event, event::Progress, event::Stage, generation::Generation, pace::Weights};

pub(crate) struct Rehearsed {
    pub stages: Vec<StagePlan>,
    /// Of a step that is computed: FLOPs, and [`work`](crate::gpu::Cost::work).
    pub step_operations: f64,
    pub step_work: f64,
    /// Where tokens need not see all others in that step.
    pub radial: Option<RadialPlan>,
    /// Of a segment.
    conditioning_work: f64,
    /// Of a segment on whole frames.
    decoding_work: f64,
    pub largest_buffer: Largest,
    /// Pixels on a side of the VAE's tiles; none where it worked on whole frames.
    pub tile: Option<u32>,
    /// Bytes of frames on the host.
    pub host: u64,
    /// Bytes of the driving video on the host.
    pub driving_host: u64,
    /// Tiles that the request leaves to choose, the largest first.
    pub smaller_tiles: Vec<u32>,
    /// Which evaluations are computed.
    pub steps: Steps,
}

/// What radial attention leaves to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RadialPlan {
    /// Of all pairs of tokens, in the layers and steps that are not dense.
    pub share: f64,
    /// At the beginning of the dry run.
    dense_steps: usize,
    /// FLOPs of a dense step; 0 where there is none.
    pub dense_operations: f64,
}

impl RadialPlan {
    /// The beginning of a line that goes on with a step's operations.
    pub fn in_words(self) -> String {
        let dense = match self.dense_operations > 0.0 {
            true => format!("dense steps take {:.3e} operations; ", self.dense_operations),
            false => String::new(),
        };
        format!("radial attention looks at {:.1} % of all pairs of tokens; {dense}", 100.0 * self.share)
    }
}

/// Work of a stage's pieces.
#[derive(Default)]
struct Pieces {
    sum: f64,
    /// Of the last piece that had any.
    last: f64,
}

impl Rehearsed {
    fn before(generation: &Generation) -> Self {
        Self {
            stages: Vec::new(),
            step_operations: 0.0,
            step_work: 0.0,
            radial: generation.radial().map(|(share, dense_steps)| RadialPlan { share, dense_steps, dense_operations: 0.0 }),
            conditioning_work: 0.0,
            decoding_work: 0.0,
            largest_buffer: Largest::default(),
            tile: None,
            host: 0,
            driving_host: 0,
            smaller_tiles: generation.smaller_tiles(),
            steps: generation.steps().clone(),
        }
    }

    /// Runs a generation on a dry device.
    pub fn run(device: &Device, generation: Generation) -> Result<Self> {
        let done = || device.rehearsal().map_or((0.0, 0.0), |rehearsal| (rehearsal.cost().flops, rehearsal.work()));
        device.rehearsal().inspect(|rehearsal| rehearsal.reset());
        let mut rehearsed = Self::before(&generation);
        let mut current: Option<(Stage, u64)> = None;
        let mut begun = done();
        let mut pieces = Pieces::default();
        for event in generation {
            match event? {
                Event::Stage(stage) => {
                    rehearsed.close(device, current.take());
                    device.reset_peak();
                    let usage = device.memory_use();
                    current = Some((stage, usage.current - usage.peak_weights));
                }
                Event::Step(step) => rehearsed.step(step.step, done().0 - begun.0, done().1 - begun.1),
                Event::Progress(progress) => rehearsed.piece(progress, done().1 - begun.1, &mut pieces),
                // Comes of the step that is to follow.
                Event::Preview(_) => continue,
                _ => {}
            }
            begun = done();
        }
        rehearsed.close(device, current);
        if let Some(rehearsal) = device.rehearsal() {
            rehearsed.largest_buffer = rehearsal.largest_buffer();
            (rehearsed.tile, rehearsed.host) = (rehearsal.smallest_tile(), rehearsal.host());
            rehearsed.driving_host = rehearsal.driving();
        }
        Ok(rehearsed)
    }

    /// Counts a step of these FLOPs and this work: as dense, where later ones are not.
    fn step(&mut self, number: usize, flops: f64, work: f64) {
        match self.radial.as_mut().filter(|radial| number < radial.dense_steps) {
            Some(radial) => radial.dense_operations = radial.dense_operations.max(flops),
            None => {
                self.step_operations = self.step_operations.max(flops);
                self.step_work = self.step_work.max(work);
            }
        }
    }

    /// Counts a piece of work. Latent frames that are not looked at take what those before do.
    fn piece(&mut self, Progress { stage, done, total, .. }: Progress, work: f64, pieces: &mut Pieces) {
        if done == 1 {
            *pieces = Pieces::default();
        }
        if work > 0.0 {
            pieces.last = work;
        }
        let is_decoding = matches!(stage, Stage::Decoding { .. });
        pieces.sum += if is_decoding { pieces.last } else { work };
        match stage {
            _ if done < total => {}
            Stage::Conditioning { .. } => self.conditioning_work = self.conditioning_work.max(pieces.sum),
            Stage::Decoding { .. } => self.decoding_work = self.decoding_work.max(pieces.sum),
            _ => {}
        }
    }

    /// What the stages beside denoising take, in steps.
    pub fn weights(&self) -> Weights {
        let steps = |work: f64| if self.step_work > 0.0 { work / self.step_work } else { 0.0 };
        Weights { conditioning: steps(self.conditioning_work), decoding: steps(self.decoding_work) }
    }

    /// Adds a stage that has ended, or what it took more than the same stage before.
    fn close(&mut self, device: &Device, ended: Option<(Stage, u64)>) {
        let Some((stage, caches)) = ended else { return };
        let usage = device.memory_use();
        let activations = usage.peak.saturating_sub(usage.peak_weights + caches);
        let plan = StagePlan { stage, weights: usage.peak_weights, caches, activations, peak: usage.peak, resident: 0 };
        match self.stages.iter_mut().find(|other| place(other.stage) == place(stage)) {
            Some(other) if other.peak >= plan.peak => {}
            Some(other) => *other = plan,
            None => self.stages.push(plan),
        }
    }

    /// The stage that takes most.
    pub fn largest(&self) -> Option<&StagePlan> {
        self.stages.iter().max_by_key(|stage| stage.peak)
    }

    pub fn peak(&self) -> u64 {
        self.largest().map_or(0, |stage| stage.peak)
    }

    pub fn peak_of(&self, place_of_stage: usize) -> u64 {
        self.stages.iter().filter(|stage| place(stage.stage) == place_of_stage).map(|stage| stage.peak).max().unwrap_or(0)
    }
}
