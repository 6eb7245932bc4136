//! What a dry run came to.

use crate::cache::steps::Steps;
use crate::error::Result;
use crate::gpu::{Device, rehearsal::Largest};
use crate::pipelines::plan::stage::StagePlan;
use crate::pipelines::run::{arrangement::place, event::Event, event::Progress, event::Stage, generation::Generation, pace::Weights};

/// See the module.
pub(crate) struct Rehearsed {
    pub stages: Vec<StagePlan>,
    pub step_operations: f64,
    /// Of a segment.
    conditioning_operations: f64,
    /// Of a segment on whole frames.
    decoding_operations: f64,
    pub largest_buffer: Largest,
    /// Pixels on a side of the VAE's tiles; none where it worked on whole frames.
    pub tile: Option<u32>,
    /// Bytes of frames on the host.
    pub host: u64,
    /// Tiles that the request leaves to choose, the largest first.
    pub smaller_tiles: Vec<u32>,
    /// Which evaluations are computed.
    pub steps: Steps,
}

/// Operations of a stage's pieces of work.
#[derive(Default)]
struct Pieces {
    sum: f64,
    /// Of the last piece that had any.
    last: f64,
}

impl Rehearsed {
    /// Runs a generation on a dry device.
    pub fn run(device: &Device, generation: Generation) -> Result<Self> {
        let operations = || device.rehearsal().map_or(0.0, |rehearsal| rehearsal.operations());
        device.rehearsal().inspect(|rehearsal| rehearsal.reset());
        let mut rehearsed = Self {
            stages: Vec::new(),
            step_operations: 0.0,
            conditioning_operations: 0.0,
            decoding_operations: 0.0,
            largest_buffer: Largest::default(),
            tile: None,
            host: 0,
            smaller_tiles: generation.smaller_tiles(),
            steps: generation.steps().clone(),
        };
        let mut current: Option<(Stage, u64)> = None;
        let mut begun = operations();
        let mut pieces = Pieces::default();
        for event in generation {
            match event? {
                Event::Stage(stage) => {
                    rehearsed.close(device, current.take());
                    device.reset_peak();
                    let usage = device.memory_use();
                    current = Some((stage, usage.current - usage.peak_weights));
                }
                Event::Step(_) => rehearsed.step_operations = rehearsed.step_operations.max(operations() - begun),
                Event::Progress(progress) => rehearsed.piece(progress, operations() - begun, &mut pieces),
                // Comes of the step that is to follow.
                Event::Preview(_) => continue,
                _ => {}
            }
            begun = operations();
        }
        rehearsed.close(device, current);
        if let Some(rehearsal) = device.rehearsal() {
            rehearsed.largest_buffer = rehearsal.largest_buffer();
            (rehearsed.tile, rehearsed.host) = (rehearsal.smallest_tile(), rehearsal.host());
        }
        Ok(rehearsed)
    }

    /// Counts the operations of a piece of work. Latent frames that are not looked at take what those before do.
    fn piece(&mut self, Progress { stage, done, total, .. }: Progress, operations: f64, pieces: &mut Pieces) {
        if done == 1 {
            *pieces = Pieces::default();
        }
        if operations > 0.0 {
            pieces.last = operations;
        }
        let is_decoding = matches!(stage, Stage::Decoding { .. });
        pieces.sum += if is_decoding { pieces.last } else { operations };
        match stage {
            _ if done < total => {}
            Stage::Conditioning { .. } => self.conditioning_operations = self.conditioning_operations.max(pieces.sum),
            Stage::Decoding { .. } => self.decoding_operations = self.decoding_operations.max(pieces.sum),
            _ => {}
        }
    }

    /// What the stages beside denoising take, in steps.
    pub fn weights(&self) -> Weights {
        let steps = |operations: f64| if self.step_operations > 0.0 { operations / self.step_operations } else { 0.0 };
        Weights { conditioning: steps(self.conditioning_operations), decoding: steps(self.decoding_operations) }
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
