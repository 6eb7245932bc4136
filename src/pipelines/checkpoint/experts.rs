//! One transformer, or two that share the work by noise level.

use std::sync::Arc;

use crate::error::Result;
use crate::gpu::{Device, Sink};
use crate::layers::{Loader, Precision, shelf::Claim, shelf::Shelf};
use crate::models::dit::{Dit, config::Config, embed::time_embeddings};
use crate::pipelines::checkpoint::{expert::Expert, transformer::Transformer};
use crate::weights::Weights;

/// The transformers of a checkpoint. Each is loaded when it is asked for, and stays for as long as a [claim](Self::claim) says.
#[derive(Debug)]
pub struct Experts {
    device: Device,
    precision: Precision,
    files: Vec<(Arc<Weights>, Config)>,
    /// The timestep from which up the first of two makes the steps.
    boundary: Option<f64>,
    loaded: Arc<Shelf<Dit>>,
}

impl Experts {
    /// `high`, and `low` with its boundary where there is one. The first is loaded, but for its blocks.
    pub fn open(
        device: &Device,
        sink: &dyn Sink,
        precision: Precision,
        high: (Weights, Config),
        low: Option<((Weights, Config), f64)>,
    ) -> Result<Self> {
        let (low, boundary) = low.unzip();
        let files: Vec<_> = std::iter::once(high).chain(low).map(|(weights, config)| (Arc::new(weights), config)).collect();
        let loaded = Arc::new(Shelf::new(files.len()));
        let experts = Self { device: device.clone(), precision, files, boundary, loaded };
        experts.load(sink, Expert::HighNoise)?;
        Ok(experts)
    }

    /// Whether nothing in the files is unknown, once all of it was loaded.
    ///
    /// # Errors
    /// Those of [`Weights::finish`].
    pub fn finish(&self) -> Result<()> {
        self.files.iter().try_for_each(|(weights, _)| weights.finish())
    }

    /// Which of two makes the step at a timestep; none where there is one transformer.
    pub fn at(&self, timestep: f64) -> Option<Expert> {
        // In f32, as the reference compares.
        let boundary = self.boundary? as f32;
        Some(if timestep as f32 >= boundary { Expert::HighNoise } else { Expert::LowNoise })
    }

    /// Says for one generation which stay on the GPU: `HighNoise` is number 0.
    pub fn claim(&self) -> Claim<Dit> {
        self.loaded.claim()
    }

    /// The expert on the GPU, loaded if it is not there.
    pub fn get(&self, expert: Expert) -> Result<Arc<Dit>> {
        self.load(&self.device, expert)
    }

    fn load(&self, sink: &dyn Sink, expert: Expert) -> Result<Arc<Dit>> {
        let mut place = self.loaded.place(expert as usize);
        if let Some(dit) = &*place {
            return Ok(dit.clone());
        }
        let (weights, config) = &self.files[expert as usize];
        let dit = Dit::open(&Loader::new(sink, weights, self.precision), weights, config)?;
        Ok(place.insert(Arc::new(dit)).clone())
    }
}

impl Transformer for Experts {
    fn config(&self) -> &Config {
        &self.files[0].1
    }

    fn layers(&self, dry: &Device) -> Result<Vec<u64>> {
        self.get(Expert::HighNoise)?.blocks().sizes(dry)
    }

    fn time_embeddings(&self, expert: Expert, timesteps: &[f64]) -> Result<Vec<Vec<f32>>> {
        self.files.get(expert as usize).map_or_else(|| Ok(Vec::new()), |(weights, config)| time_embeddings(weights, config, timesteps))
    }

    fn fill(&self, sink: &dyn Sink, count: usize, both: bool) -> Result<()> {
        let all = if both { self.files.len() } else { 1 };
        self.loaded.clear_but(0..all);
        [Expert::HighNoise, Expert::LowNoise]
            .into_iter()
            .take(all)
            .try_for_each(|expert| self.load(sink, expert)?.blocks().fill(sink, count))
    }
}
