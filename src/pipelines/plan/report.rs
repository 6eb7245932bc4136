//! What a plan says.

use std::fmt;

use crate::cache::steps::Steps;
use crate::gpu::{Device, rehearsal::Largest};
use crate::models::dit::beside::DrivingCache;
use crate::pipelines::plan::{rehearsed::RadialPlan, rehearsed::Rehearsed, stage::StagePlan, stage::gib};
use crate::pipelines::run::{arrangement::Arrangement, arrangement::place, event::Stage, forecast::Forecast, pace::Weights};

/// What a generation takes, stage by stage. Printed, it is a table.
#[derive(Clone, Debug)]
pub struct Plan {
    what: String,
    budget: Option<u64>,
    arrangement: Arrangement,
    layers: Vec<u64>,
    stages: Vec<StagePlan>,
    tile: Option<u32>,
    host: u64,
    driving: Option<DrivingCache>,
    driving_host: u64,
    largest_buffer: Largest,
    step_operations: f64,
    /// For the time of a step.
    step_work: f64,
    step_seconds: Option<f64>,
    radial: Option<RadialPlan>,
    weights: Weights,
    steps: Steps,
}

impl Plan {
    pub(super) fn new(
        what: String,
        budget: Option<u64>,
        arrangement: Arrangement,
        layers: Vec<u64>,
        rehearsed: Rehearsed,
        weights: Weights,
    ) -> Self {
        let Rehearsed { stages, step_operations, step_work, largest_buffer, tile, host, driving_host, steps, radial, .. } = rehearsed;
        let resident = |stage| arrangement.resident(stage).min(layers.len());
        let stages = stages.into_iter().map(|stage| StagePlan { resident: resident(stage.stage), ..stage }).collect();
        Self {
            what,
            budget,
            arrangement,
            layers,
            stages,
            tile,
            host,
            driving: None,
            driving_host,
            largest_buffer,
            step_operations,
            step_work,
            step_seconds: None,
            radial,
            weights,
            steps,
        }
    }

    /// Of a model that looks at a driving video, which is kept so.
    pub(super) fn watching(self, driving: Option<DrivingCache>) -> Self {
        Self { driving, ..self }
    }

    /// With the time of a step by the speed that was measured on `device` so far.
    pub(crate) fn timed(self, device: &Device) -> Self {
        Self { step_seconds: device.rate().measured().map(|rate| self.step_work / rate), ..self }
    }

    /// What is known of the generation before it begins.
    pub(super) fn forecast(&self) -> Forecast {
        Forecast { peak: Some(self.peak()), weights: self.weights }
    }

    /// The peak of all stages, in bytes.
    pub fn peak(&self) -> u64 {
        self.stages.iter().map(|stage| stage.peak).max().unwrap_or(0)
    }

    /// The budget that it was made for; none where there is none.
    pub fn budget(&self) -> Option<u64> {
        self.budget
    }

    pub(super) fn budget_in_words(&self) -> String {
        self.budget.map_or_else(|| "no budget".into(), |budget| format!("budget {:.3} GiB", gib(budget)))
    }

    /// What it is of, in words.
    pub(super) fn what(&self) -> &str {
        &self.what
    }

    /// The stages in their order.
    pub fn stages(&self) -> &[StagePlan] {
        &self.stages
    }

    /// Blocks of a transformer.
    pub fn blocks(&self) -> usize {
        self.layers.len()
    }

    /// How many of them stay on the GPU from step to step; the others are streamed.
    pub fn resident_blocks(&self) -> usize {
        self.arrangement.resident(Stage::Denoising { segment: 0 }).min(self.layers.len())
    }

    /// Bytes that each pass through a transformer copies from the checkpoint.
    pub fn streamed_bytes(&self) -> u64 {
        self.layers.iter().skip(self.resident_blocks()).sum()
    }

    /// Whether keys and values of cross-attention are kept from step to step.
    pub fn keeps_keys(&self) -> bool {
        self.arrangement.options.keep_keys
    }

    /// How the driving video is kept while a segment is denoised, where the model looks at one, as Animate-2 does.
    pub fn driving_cache(&self) -> Option<DrivingCache> {
        self.driving
    }

    /// Bytes of the host's memory that the driving video takes, all of which each pass through the transformer copies to the GPU.
    pub fn driving_host(&self) -> u64 {
        self.driving_host
    }

    /// Pixels on a side of the tiles in which the VAE works; none where it works on whole frames.
    pub fn vae_tile(&self) -> Option<u32> {
        self.tile
    }

    /// Bytes of the host's memory that frames take at most: those that a latent frame stands for, and one on its way from the GPU. Where the
    /// VAE works on tiles, all of a segment's, and the features that they are made from. Or, where that is more, what the largest of networks
    /// takes, with its weights, that are computed on the host.
    pub fn host(&self) -> u64 {
        self.host
    }

    /// Bytes of the largest buffer.
    pub fn largest_buffer(&self) -> u64 {
        self.largest_buffer.size
    }

    /// Evaluations of the model that a segment takes.
    pub fn steps(&self) -> usize {
        self.steps.count()
    }

    /// How many of them are computed: with a [cache](crate::Request::cache) that decides on the way, at most. The others reuse what was
    /// computed before.
    pub fn computed_steps(&self) -> usize {
        self.steps.computed_from(0)
    }

    /// By evaluation, whether it is, or with a [cache](crate::Request::cache) that decides on the way may be, reused.
    pub fn reused_steps(&self) -> impl Iterator<Item = bool> {
        (0..self.steps.count()).map(|step| self.steps.may_reuse(step))
    }

    /// With [radial attention](crate::Request::radial_attention), the part that is left of all pairs of tokens that could see each other, in the
    /// layers and steps that are not dense.
    pub fn attention_share(&self) -> Option<f64> {
        self.radial.map(|radial| radial.share)
    }

    /// Floating-point operations of a step that is computed, additions and multiplications. With radial attention, of a step that is not dense.
    pub fn step_operations(&self) -> f64 {
        self.step_operations
    }

    /// How long a step is going to take by the speed of what the device did so far; none before it did anything. Copies of streamed
    /// blocks are taken to be hidden behind the work.
    pub fn step_seconds(&self) -> Option<f64> {
        self.step_seconds
    }
}

impl Plan {
    fn driving_in_words(&self, driving: DrivingCache) -> String {
        let inputs = "what keys and values of the driving video are computed of is kept";
        match driving {
            DrivingCache::Keys => "keys and values of the driving video are kept on the GPU".into(),
            DrivingCache::Inputs => format!("{inputs} on the GPU"),
            DrivingCache::Host => format!("{inputs} on the host: each pass copies {:.3} GiB", gib(self.driving_host)),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{}", self.what)?;
        writeln!(f, "{:<13} {:>10} {:>10} {:>12} {:>10}  blocks that stay", "GiB", "weights", "caches", "activations", "peak")?;
        for stage in &self.stages {
            let name = match place(stage.stage) {
                0 => "encoding",
                1 => "conditioning",
                2 => "denoising",
                3 => "decoding",
                _ => "preprocessing",
            };
            let [weights, caches, activations, peak] = [stage.weights, stage.caches, stage.activations, stage.peak].map(gib);
            let (resident, all) = (stage.resident, self.blocks());
            writeln!(f, "{name:<13} {weights:>10.3} {caches:>10.3} {activations:>12.3} {peak:>10.3}  {resident} of {all}")?;
        }
        let budget = self.budget_in_words();
        writeln!(f, "peak {:.3} GiB, {budget}; largest buffer {:.3} GiB", gib(self.peak()), gib(self.largest_buffer.size))?;
        let frames = self.tile.map_or_else(|| "whole frames".into(), |tile| format!("tiles of {tile} pixels"));
        let keys = if self.keeps_keys() { "kept" } else { "computed in each step" };
        writeln!(
            f,
            "each step streams {:.3} GiB of blocks; keys of cross-attention are {keys}; the VAE works on {frames}, {:.3} GiB of them on the host",
            gib(self.streamed_bytes()),
            gib(self.host)
        )?;
        let (computed, all) = (self.computed_steps(), self.steps());
        if !self.steps.is_exact() {
            writeln!(f, "at most {computed} of {all} steps are computed; those of 0 may be reused: {}", self.steps.digits())?;
        } else if computed < all {
            writeln!(f, "{computed} of {all} steps are computed: {}", self.steps.digits())?;
        }
        if let Some(driving) = self.driving {
            writeln!(f, "{}", self.driving_in_words(driving))?;
        }
        write!(f, "{}", self.radial.map_or(String::new(), RadialPlan::in_words))?;
        write!(f, "{:.3e} operations a step", self.step_operations)?;
        match self.step_seconds {
            Some(seconds) => write!(f, ", about {seconds:.1} s at the speed measured so far"),
            None => write!(f, "; no speed was measured yet"),
        }
    }
}
