//! What a generation will take, and what is to stay on the GPU so that it takes no more than it may.
//!
//! A plan is a dry run: the same code, on a [dry](Device::dry) twin of the pipeline that knows tensors by their headers alone. So its
//! figures are those of the real run, and there is no second description of the models that could disagree with the first.

use std::fmt;

use crate::error::{Error, Result};
use crate::gpu::Device;
use crate::gpu::rehearsal::Largest;
use crate::models::dit::Footprint;
use crate::pipelines::event::{Event, Stage};
use crate::pipelines::generation::Generation;
use crate::pipelines::parts::Parts;

/// Tokens at a time and keys anew in each step: what a budget that is too small for better leaves.
const FRUGAL: Footprint = Footprint { tokens: 1, keep_keys: false };

/// Steps that a plan looks at, with each expert: solvers hold no more of the past. The others are like the last of them.
pub(crate) const PLANNED_STEPS: usize = 5;

/// What a generation takes, stage by stage. Printed, it is a table.
#[derive(Clone, Debug)]
pub struct Plan {
    what: String,
    budget: Option<u64>,
    arrangement: Arrangement,
    layers: Vec<u64>,
    stages: Vec<StagePlan>,
    largest_buffer: Largest,
    step_operations: f64,
    step_seconds: Option<f64>,
}

/// What one stage takes, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StagePlan {
    /// Which: of several segments' the one that takes most.
    pub stage: Stage,
    /// Weights that are on the GPU at most at a time.
    pub weights: u64,
    /// What earlier stages left for this one: embeddings, conditioning, latents.
    pub caches: u64,
    /// Everything else.
    pub activations: u64,
    /// All of it at its peak.
    pub peak: u64,
    /// Blocks of the transformer that stay on the GPU meanwhile.
    pub resident: usize,
}

/// What stays on the GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrangement {
    pub footprint: Footprint,
    /// Whether the expert that does not work stays too.
    pub both_experts: bool,
    /// Blocks by stage: encoding, conditioning, denoising, decoding.
    resident: [usize; 4],
}

impl Default for Arrangement {
    fn default() -> Self {
        Self { footprint: Footprint::default(), both_experts: true, resident: [usize::MAX; 4] }
    }
}

impl Arrangement {
    /// Blocks of the transformer that stay during a stage.
    pub fn resident(&self, stage: Stage) -> usize {
        self.resident[place(stage)]
    }
}

fn place(stage: Stage) -> usize {
    match stage {
        Stage::Encoding => 0,
        Stage::Conditioning { .. } => 1,
        Stage::Denoising { .. } | Stage::Switching { .. } => 2,
        Stage::Decoding { .. } => 3,
    }
}

/// What a plan asks of one transformer, or of two.
pub(crate) trait Transformer {
    /// Bytes of each block on the GPU, where it is on a dry device.
    fn layers(&self, dry: &Device) -> Result<Vec<u64>>;

    /// From now on so many blocks stay, and passes take no more than the footprint.
    fn keep(&self, resident: usize, arrangement: &Arrangement);
}

/// What a dry run came to.
pub(crate) struct Rehearsed {
    stages: Vec<StagePlan>,
    step_operations: f64,
}

impl Rehearsed {
    fn peak(&self) -> u64 {
        self.stages.iter().map(|stage| stage.peak).max().unwrap_or(0)
    }

    fn peak_of(&self, place_of_stage: usize) -> u64 {
        self.stages.iter().filter(|stage| place(stage.stage) == place_of_stage).map(|stage| stage.peak).max().unwrap_or(0)
    }
}

/// Runs a generation on a dry device.
pub(crate) fn rehearse(device: &Device, generation: Generation) -> Result<Rehearsed> {
    let operations = || device.rehearsal().map_or(0.0, |rehearsal| rehearsal.operations());
    let mut rehearsed = Rehearsed { stages: Vec::new(), step_operations: 0.0 };
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
    Ok(rehearsed)
}

impl Rehearsed {
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
}

/// Refuses a budget that is too small for the weights that must be on the GPU together, whatever is asked for. For a dry pipeline.
pub(crate) fn check<T: Transformer>(parts: &Parts<T>, budget: u64) -> Result<()> {
    parts.transformer.keep(0, &Arrangement { both_experts: false, ..Default::default() });
    let layers = parts.transformer.layers(&parts.device)?;
    let two = layers.windows(2).map(|two| two.iter().sum()).max().or(layers.first().copied()).unwrap_or(0);
    let needed = parts.device.memory_use().current + two;
    match needed > budget {
        false => Ok(()),
        true => Err(Error::Limits(format!(
            "this checkpoint needs a memory budget of {needed} bytes ({:.2} GiB) for two of its blocks and what is always there, and more for \
             what it works on; it is {budget}: raise it, or choose a checkpoint of smaller weights",
            gib(needed)
        ))),
    }
}

/// Finds the arrangement within a budget in which most stays on the GPU, by running `rehearsal` in some of them.
///
/// # Errors
/// [`Error::Limits`] naming the smallest budget, where this is smaller.
pub(crate) fn arrange<T: Transformer>(
    parts: &Parts<T>,
    what: String,
    budget: Option<u64>,
    rehearsal: impl Fn() -> Result<Rehearsed>,
) -> Result<(Plan, Arrangement)> {
    let layers = parts.transformer.layers(&parts.device)?;
    let attempt = |arrangement: Arrangement| {
        parts.arrange(arrangement);
        parts.transformer.keep(0, &arrangement);
        Ok::<_, Error>((rehearsal()?, arrangement))
    };
    let everything = attempt(Arrangement { resident: [layers.len(); 4], ..Default::default() })?;
    let (rehearsed, arrangement) = match budget {
        Some(budget) if everything.0.peak() > budget => within(budget, &layers, &attempt).map_err(|error| match error {
            Refusal::Smallest(smallest, stage) => refuse(parts, &what, budget, smallest, stage),
            Refusal::Error(error) => error,
        })?,
        _ => everything,
    };
    let rehearsal = parts.device.rehearsal();
    let stages = rehearsed.stages.into_iter();
    let plan = Plan {
        what,
        budget,
        stages: stages.map(|stage| StagePlan { resident: arrangement.resident(stage.stage).min(layers.len()), ..stage }).collect(),
        arrangement,
        layers,
        largest_buffer: rehearsal.map(|rehearsal| rehearsal.largest_buffer()).unwrap_or_default(),
        step_operations: rehearsed.step_operations,
        step_seconds: None,
    };
    Ok((plan, arrangement))
}

enum Refusal {
    Smallest(u64, Stage),
    Error(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

type Attempt = (Rehearsed, Arrangement);

fn within(budget: u64, layers: &[u64], attempt: &dyn Fn(Arrangement) -> Result<Attempt>) -> Result<Attempt, Refusal> {
    let streamed = |footprint| attempt(Arrangement { footprint, both_experts: false, resident: [0; 4] });
    let mut fewest = streamed(Footprint::default())?;
    if fewest.0.peak() > budget {
        fewest = streamed(FRUGAL)?;
    }
    if fewest.0.peak() > budget {
        let most = fewest.0.stages.iter().max_by_key(|stage| stage.peak);
        return Err(
            most.map_or(Refusal::Error(Error::Limits("a budget of nothing".into())), |most| Refusal::Smallest(most.peak, most.stage))
        );
    }
    // What stays adds to the peak of all stages alike. In denoising it adds a little less once it takes blocks from the slots.
    let resident = std::array::from_fn(|place| fitting(layers, budget - fewest.0.peak_of(place)));
    let mut arrangement = Arrangement { resident, ..fewest.1 };
    for place in [0, 1, 3] {
        arrangement.resident[place] = arrangement.resident[place].min(arrangement.resident[2]);
    }
    loop {
        let (rehearsed, arrangement_tried) = attempt(arrangement)?;
        if rehearsed.peak() <= budget || arrangement.resident[2] == 0 {
            return Ok((rehearsed, arrangement_tried));
        }
        arrangement.resident = arrangement.resident.map(|count| count.min(arrangement.resident[2] - 1));
    }
}

/// How many of the first layers these bytes hold.
fn fitting(layers: &[u64], mut bytes: u64) -> usize {
    let fits = |&&layer: &&u64| {
        let fits = layer <= bytes;
        bytes = bytes.saturating_sub(layer);
        fits
    };
    layers.iter().take_while(fits).count()
}

fn refuse<T>(parts: &Parts<T>, what: &str, budget: u64, smallest: u64, stage: Stage) -> Error {
    let half = match parts.precision {
        crate::Precision::F32 => ", or `Precision::F16`",
        crate::Precision::F16 => "",
    };
    Error::Limits(format!(
        "{what} need a memory budget of {smallest} bytes ({:.2} GiB) at least, for {stage}; it is {budget}: raise it, or choose a smaller \
         size or fewer frames at once{half}",
        gib(smallest)
    ))
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

impl Plan {
    /// With the time of a step by the speed that was measured on `device` so far.
    pub(crate) fn timed(self, device: &Device) -> Self {
        Self { step_seconds: device.measured_rate().map(|rate| self.step_operations / rate), ..self }
    }

    /// The peak of all stages, in bytes.
    pub fn peak(&self) -> u64 {
        self.stages.iter().map(|stage| stage.peak).max().unwrap_or(0)
    }

    /// The budget that it was made for; none where there is none.
    pub fn budget(&self) -> Option<u64> {
        self.budget
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
        self.arrangement.footprint.keep_keys
    }

    /// Bytes of the largest buffer.
    pub fn largest_buffer(&self) -> u64 {
        self.largest_buffer.size
    }

    /// Additions and multiplications of a step.
    pub fn step_operations(&self) -> f64 {
        self.step_operations
    }

    /// How long a step is going to take by the speed of what the device did so far; none before it did anything. Copies of streamed
    /// blocks are taken to be hidden behind the work.
    pub fn step_seconds(&self) -> Option<f64> {
        self.step_seconds
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{}", self.what)?;
        writeln!(f, "{:<12} {:>10} {:>10} {:>12} {:>10}  blocks that stay", "GiB", "weights", "caches", "activations", "peak")?;
        for stage in &self.stages {
            let name = match place(stage.stage) {
                0 => "encoding",
                1 => "conditioning",
                2 => "denoising",
                _ => "decoding",
            };
            let [weights, caches, activations, peak] = [stage.weights, stage.caches, stage.activations, stage.peak].map(gib);
            let (resident, all) = (stage.resident, self.blocks());
            writeln!(f, "{name:<12} {weights:>10.3} {caches:>10.3} {activations:>12.3} {peak:>10.3}  {resident} of {all}")?;
        }
        let budget = self.budget.map_or_else(|| "no budget".into(), |budget| format!("budget {:.3} GiB", gib(budget)));
        writeln!(f, "peak {:.3} GiB, {budget}; largest buffer {:.3} GiB", gib(self.peak()), gib(self.largest_buffer.size))?;
        let keys = if self.keeps_keys() { "kept" } else { "computed in each step" };
        writeln!(f, "each step streams {:.3} GiB of blocks; keys of cross-attention are {keys}", gib(self.streamed_bytes()))?;
        write!(f, "{:.3e} operations a step", self.step_operations)?;
        match self.step_seconds {
            Some(seconds) => write!(f, ", about {seconds:.1} s at the speed measured so far"),
            None => write!(f, "; no speed was measured yet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_fit_from_the_first_on() {
        assert_eq!(fitting(&[5, 5, 5], 14), 2);
        assert_eq!(fitting(&[5, 5, 5], 15), 3);
        assert_eq!(fitting(&[5, 9, 1], 6), 1, "none after one that does not fit");
        assert_eq!(fitting(&[5], 0), 0);
    }
}
