//! The arrangement within a budget in which most stays on the GPU, found by dry runs in some of them.

use crate::error::Result;
use crate::models::dit::session::Footprint;
use crate::pipelines::checkpoint::transformer::Transformer;
use crate::pipelines::plan::{rehearsed::Rehearsed, report::Plan};
use crate::pipelines::request::{Request, pipeline::Pipeline, task::Task};
use crate::pipelines::run::{arrangement::Arrangement, arrangement::STAGES, event::Stage, forecast::Forecast};

/// Tokens at a time, keys anew in each step, caches on the host: what a budget that is too small for better leaves.
const FRUGAL: Footprint = Footprint { tokens: 1, keep_keys: false, cache_on_host: true };

/// See the module.
pub(crate) struct Search<'a, T> {
    /// Of the dry twin.
    pub request: &'a Request<T>,
    /// What is to be made, in words.
    pub what: String,
    pub budget: Option<u64>,
}

pub(super) type Attempt = (Rehearsed, Arrangement);

impl<T: Task> Search<'_, T> {
    /// The plan, and the arrangement that it is of.
    ///
    /// # Errors
    /// [`Error::Limits`](crate::Error::Limits) naming the smallest budget, where this is smaller.
    pub fn plan(self) -> Result<(Plan, Arrangement)> {
        let parts = self.request.task.pipeline().parts();
        let layers = parts.transformer.layers(&parts.device)?;
        let everything = self.attempt(self.request, Arrangement { resident: [layers.len(); STAGES], ..Default::default() })?;
        // Of whole frames, where the request leaves that open.
        let weights = everything.0.weights();
        let (rehearsed, arrangement) = match self.budget {
            Some(budget) if everything.0.peak() > budget => self.within(budget, &layers)?,
            _ => everything,
        };
        Ok((Plan::new(self.what, self.budget, arrangement, layers, rehearsed, weights), arrangement))
    }

    fn attempt(&self, request: &Request<T>, arrangement: Arrangement) -> Result<Attempt> {
        let parts = request.task.pipeline().parts();
        // They stay from one generation to the next.
        parts.transformer.fill(&parts.device, arrangement.resident[0], arrangement.both_experts)?;
        Ok((Rehearsed::run(&parts.device, request.clone().begin(arrangement, Forecast::default())?)?, arrangement))
    }

    fn within(&self, budget: u64, layers: &[u64]) -> Result<Attempt> {
        let mut fewest = self.streamed(self.request, Footprint::default(), budget)?;
        if fewest.0.peak() > budget {
            fewest = self.least(self.request, budget)?;
        }
        if fewest.0.peak() > budget {
            return Err(self.refuse(budget, &fewest.0));
        }
        // What stays adds to the peak of all stages alike. In denoising it adds a little less once it takes blocks from the slots.
        let resident = std::array::from_fn(|place| fitting(layers, budget - fewest.0.peak_of(place)));
        let mut arrangement = Arrangement { resident, ..fewest.1 };
        for place in [0, 1, 3, 4] {
            arrangement.resident[place] = arrangement.resident[place].min(arrangement.resident[2]);
        }
        loop {
            let (rehearsed, arrangement_tried) = self.attempt(self.request, arrangement)?;
            if rehearsed.peak() <= budget || arrangement.resident[2] == 0 {
                return Ok((rehearsed, arrangement_tried));
            }
            arrangement.resident = arrangement.resident.map(|count| count.min(arrangement.resident[2] - 1));
        }
    }

    /// What takes least, or a little more if it is within the budget.
    pub(super) fn least(&self, request: &Request<T>, budget: u64) -> Result<Attempt> {
        self.streamed(request, FRUGAL, budget)
    }

    /// Without blocks that stay; with whole frames in the VAE, or the largest tiles that are within the budget, or those that take least.
    fn streamed(&self, request: &Request<T>, footprint: Footprint, budget: u64) -> Result<Attempt> {
        let arrangement = Arrangement { footprint, both_experts: false, tile: None, resident: [0; STAGES] };
        let mut best = self.attempt(request, arrangement)?;
        for tile in best.0.smaller_tiles.clone() {
            let is_denoising = best.0.largest().is_some_and(|stage| matches!(stage.stage, Stage::Denoising { .. }));
            if best.0.peak() <= budget || is_denoising {
                break;
            }
            let tried = self.attempt(request, Arrangement { tile: Some(tile), ..arrangement })?;
            if tried.0.peak() < best.0.peak() {
                best = tried;
            }
        }
        Ok(best)
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
