//! One transformer, or two that share the work by noise level.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::gpu::Device;
use crate::layers::{Loader, Precision};
use crate::models::dit::Dit;
use crate::models::dit::config::Config;
use crate::weights::Weights;

/// Both experts stay on the GPU if they take at most this part of its memory limit; activations need the rest.
const SHARE: f64 = 0.75;

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
    files: Vec<(Weights, Config)>,
    /// The timestep from which up the first of two makes the steps.
    boundary: Option<f64>,
    keep_both: bool,
    resident: Mutex<[Option<Arc<Dit>>; 2]>,
}

impl Experts {
    /// Loads `high`, and `low` with its boundary too if both are to stay.
    pub fn load(device: &Device, precision: Precision, high: (Weights, Config), low: Option<((Weights, Config), f64)>) -> Result<Self> {
        let (low, boundary) = low.unzip();
        let files: Vec<_> = std::iter::once(high).chain(low).collect();
        let bytes: u64 = files.iter().map(|(weights, _)| bytes(weights, precision)).sum();
        let keep_both = device.memory_limit().is_none_or(|limit| bytes as f64 <= SHARE * limit as f64);
        let experts = Self { device: device.clone(), precision, files, boundary, keep_both, resident: Mutex::default() };
        if keep_both && boundary.is_some() {
            experts.get(Expert::LowNoise)?;
        }
        experts.get(Expert::HighNoise)?;
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
        let (own, other) = match expert {
            Expert::HighNoise => (0, 1),
            Expert::LowNoise => (1, 0),
        };
        let mut resident = self.resident.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(dit) = &resident[own] {
            return Ok(dit.clone());
        }
        if !self.keep_both {
            resident[other] = None;
        }
        let (weights, config) = &self.files[own];
        let dit = Arc::new(Dit::load(&Loader::new(&self.device, weights, self.precision), config)?);
        weights.finish()?;
        resident[own] = Some(dit.clone());
        Ok(dit)
    }
}

/// How much memory the weights take on the GPU, or a little less than that.
fn bytes(weights: &Weights, precision: Precision) -> u64 {
    // Quantised matrices and 16-bit ones stay as they are stored.
    let bytes = weights.iter().map(|(_, info)| {
        let elements = info.shape.iter().product::<usize>() as u64;
        let dense = elements * precision.operand().bytes();
        info.encoding.bytes(elements).map_or(dense, |stored| stored.min(dense))
    });
    bytes.sum()
}
