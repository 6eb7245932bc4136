//! What a dry run came to.

use crate::error::Result;
use crate::gpu::{Device, rehearsal::Largest};
use crate::pipelines::plan::stage::StagePlan;
use crate::pipelines::run::{arrangement::place, event::Event, event::Stage, generation::Generation};

/// See the module.
pub(crate) struct Rehearsed {
    pub stages: Vec<StagePlan>,
    pub step_operations: f64,
    pub largest_buffer: Largest,
    /// Pixels on a side of the VAE's tiles; none where it worked on whole frames.
    pub tile: Option<u32>,
    /// Bytes of frames on the host.
    pub host: u64,
    /// Tiles that the request leaves to choose, the largest first.
    pub smaller_tiles: Vec<u32>,
}

impl Rehearsed {
    /// Runs a generation on a dry device.
    pub fn run(device: &Device, generation: Generation) -> Result<Self> {
        let operations = || device.rehearsal().map_or(0.0, |rehearsal| rehearsal.operations());
        device.rehearsal().inspect(|rehearsal| rehearsal.reset());
        let mut rehearsed = Self {
            stages: Vec::new(),
            step_operations: 0.0,
            largest_buffer: Largest::default(),
            tile: None,
            host: 0,
            smaller_tiles: generation.smaller_tiles(),
        };
        let mut current: Option<(Stage, u64)> = None;
        let mut begun = operations();
        for event in generation {
            match event? {
                Event::Stage(stage) => {
                    rehearsed.close(device, current.take());
                    device.reset_peak();
                    let usage = device.memory_use();
                    current = Some((stage, usage.current - usage.peak_weights));
                }
                Event::Step(_) => rehearsed.step_operations = rehearsed.step_operations.max(operations() - begun),
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
