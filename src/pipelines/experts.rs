//! One transformer, or two that share the work by noise level.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::gpu::Device;
use crate::layers::Precision;
use crate::models::dit::Dit;
use crate::models::dit::config::Config;
use crate::pipelines::plan::{Arrangement, Transformer};
use crate::weights::Weights;

/// Which of a pair of transformers makes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expert {
    /// `transformer`: the steps at timesteps from the checkpoint's boundary up, which come first.
    HighNoise,
    /// `transformer_2`: the steps below the boundary.
    LowNoise,
}

impl fmt::Display for Expert {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::HighNoise => "high-noise expert",
            Self::LowNoise => "low-noise expert",
        })
    }
}

/// The transformers of a checkpoint.
#[derive(Debug)]
pub struct Experts {
    device: Device,
    precision: Precision,
    files: Vec<(Arc<Weights>, Config)>,
    /// The timestep from which up the first of two makes the steps.
    boundary: Option<f64>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    loaded: [Option<Arc<Dit>>; 2],
    resident: usize,
    arrangement: Arrangement,
}

impl Experts {
    /// Loads `high`, and `low` with its boundary too. Where they are not to be `filled`, the first alone, and without its blocks.
    pub fn load(
        device: &Device,
        precision: Precision,
        high: (Weights, Config),
        low: Option<((Weights, Config), f64)>,
        filled: bool,
    ) -> Result<Self> {
        let (low, boundary) = low.unzip();
        let files = std::iter::once(high).chain(low).map(|(weights, config)| (Arc::new(weights), config)).collect();
        let state = State { loaded: [None, None], resident: 0, arrangement: Arrangement::default() };
        let experts = Self { device: device.clone(), precision, files, boundary, state: Mutex::new(state) };
        if filled && boundary.is_some() {
            experts.get(Expert::LowNoise)?;
        }
        experts.get(Expert::HighNoise)?;
        if filled {
            experts.fill()?;
        }
        Ok(experts)
    }

    /// The configuration of the first, which the second shares.
    pub fn config(&self) -> &Config {
        &self.files[0].1
    }

    /// Which of two makes the step at a timestep; none where there is one transformer.
    pub fn at(&self, timestep: f64) -> Option<Expert> {
        // In f32, as the reference compares.
        let boundary = self.boundary? as f32;
        Some(if timestep as f32 >= boundary { Expert::HighNoise } else { Expert::LowNoise })
    }

    /// The expert on the GPU, loaded if it is not there. Where both do not fit, the other one leaves first.
    pub fn get(&self, expert: Expert) -> Result<Arc<Dit>> {
        let own = expert as usize;
        let mut state = self.state();
        if let Some(dit) = &state.loaded[own] {
            return Ok(dit.clone());
        }
        if !state.arrangement.both_experts {
            state.loaded[1 - own] = None;
        }
        let (weights, config) = &self.files[own];
        let dit = Arc::new(Dit::open(&self.device, weights, self.precision, config)?);
        dit.set_footprint(state.arrangement.footprint);
        dit.blocks().keep(state.resident);
        state.loaded[own] = Some(dit.clone());
        Ok(dit)
    }

    /// Loads all blocks of those that are there, to stay.
    fn fill(&self) -> Result<()> {
        let mut state = self.state();
        state.resident = usize::MAX;
        for (dit, (weights, _)) in state.loaded.iter().flatten().zip(&self.files) {
            dit.blocks().fill(&self.device, usize::MAX)?;
            weights.finish()?;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transformer for Experts {
    fn layers(&self, dry: &Device) -> Result<Vec<u64>> {
        self.get(Expert::HighNoise)?.blocks().sizes(dry)
    }

    fn fill(&self, dry: &Device, count: usize) -> Result<()> {
        if self.boundary.is_some() && self.state().arrangement.both_experts {
            self.get(Expert::LowNoise)?;
        }
        let mut state = self.state();
        state.resident = count;
        state.loaded.iter().flatten().try_for_each(|dit| dit.blocks().fill(dry, count))
    }

    fn keep(&self, resident: usize, arrangement: &Arrangement) {
        let mut state = self.state();
        (state.resident, state.arrangement) = (resident, *arrangement);
        if let [Some(_), low @ Some(_)] = &mut state.loaded
            && !arrangement.both_experts
        {
            *low = None;
        }
        for dit in state.loaded.iter().flatten() {
            dit.set_footprint(arrangement.footprint);
            dit.blocks().keep(resident);
        }
    }
}
