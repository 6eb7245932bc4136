//! Budgets that are too small, and what would lower the smallest one.

use crate::error::{Error, Result};
use crate::layers::Precision;
use crate::pipelines::checkpoint::{parts::Parts, transformer::Transformer};
use crate::pipelines::plan::{rehearsed::Rehearsed, search::Search, stage::gib};
use crate::pipelines::request::{Reduction, pipeline::Pipeline, task::Task};
use crate::pipelines::run::event::Stage;

/// Refuses a budget that is too small for the weights that must be on the GPU together, whatever is asked for. For a dry pipeline.
pub(crate) fn check<T: Transformer>(parts: &Parts<T>, budget: u64) -> Result<()> {
    parts.transformer.fill(&parts.device, 0, false)?;
    let layers = parts.transformer.layers(&parts.device)?;
    let two = layers.windows(2).map(|two| two.iter().sum()).max().or(layers.first().copied()).unwrap_or(0);
    let needed = parts.device.memory_use().current + two;
    match needed > budget {
        false => Ok(()),
        true => Err(Error::memory(
            needed,
            budget,
            format!(
                "this checkpoint needs a memory budget of {needed} bytes ({:.2} GiB) for two of its blocks and what is always there, and more for \
             what it works on; it is {budget}: raise it, or choose a checkpoint of smaller weights, such as quantised ones",
                gib(needed)
            ),
        )),
    }
}

impl<T: Task> Search<'_, T> {
    /// The error for a budget, where `least` is what takes least.
    pub(super) fn refuse(&self, budget: u64, least: &Rehearsed) -> Error {
        let smallest = least.peak();
        let stage = least.largest().map_or_else(|| "all of it".into(), |largest| largest.stage.to_string());
        let reductions = match &self.reductions(least)[..] {
            [] => String::new(),
            reductions => format!(", or choose what needs less ({})", reductions.join(", ")),
        };
        let message = format!(
            "{} need a memory budget of {smallest} bytes ({:.2} GiB) at least, for {stage}; it is {budget}: raise it{reductions}",
            self.what,
            gib(smallest)
        );
        Error::Limits { needed: Some(smallest), available: Some(budget), smallest: Some(smallest), message }
    }

    /// What lowers the smallest budget. Changes of the request are tried; of the weights it is known.
    fn reductions(&self, least: &Rehearsed) -> Vec<String> {
        let mut reductions = Vec::new();
        for reduction in [Reduction::Tiles, Reduction::Frames, Reduction::Size] {
            let Some((words, request)) = self.request.smaller(reduction) else { continue };
            // What is impossible for another reason is no advice.
            let Ok((changed, _)) = self.least(&request, 0) else { continue };
            if changed.peak() < least.peak() {
                reductions.push(format!("{words}: {:.3} GiB", gib(changed.peak())));
            }
        }
        if self.request.task.pipeline().parts().precision == Precision::F32 {
            reductions.push("`Precision::F16`".into());
        }
        if least.largest().is_some_and(|largest| matches!(largest.stage, Stage::Encoding | Stage::Denoising { .. })) {
            // Only there layers pass through the GPU.
            reductions.push("weights of fewer bits, such as quantised ones".into());
        }
        reductions
    }
}
