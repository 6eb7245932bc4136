//! From a request to its plan, and to a generation that keeps to it.

use crate::error::Result;
use crate::pipelines::plan::{report::Plan, search::Search, stage::gib};
use crate::pipelines::request::{Request, pipeline::Pipeline, task::Task};
use crate::pipelines::run::{arrangement::Arrangement, generation::Generation};

impl<T: Task> Request<T> {
    /// What it will take, stage by stage, and what stays on the GPU meanwhile so that it keeps to the
    /// [memory budget](Self::memory_budget). Nothing is allocated, and no weight is read.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub fn plan(&self) -> Result<Plan> {
        self.plan_on(self.task.pipeline())
    }

    /// Checks the settings and begins. Work is done as the iterator is asked for events.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) naming the setting that cannot be; [`Error::Limits`](crate::Error::Limits) where the model lacks
    /// positions for the size or length, one tensor would be larger than the adapter allows, or the budget is too small, naming the smallest
    /// one that is not.
    pub fn start(self) -> Result<Generation> {
        let pipeline = self.task.pipeline();
        let planned = self.arrange(pipeline);
        let (arrangement, forecast) = match planned {
            Ok((plan, arrangement)) => {
                log::info!("{}: {:.3} GiB at the peak, {}", plan.what(), gib(plan.peak()), plan.budget_in_words());
                (if plan.budget().is_some() { arrangement } else { Arrangement::default() }, plan.forecast())
            }
            Err(error) if self.budget(pipeline)?.is_some() => return Err(error),
            // What is wrong shows when it begins, or when it runs.
            Err(_) => Default::default(),
        };
        self.begin(arrangement, forecast)
    }

    pub(crate) fn plan_on(&self, pipeline: &T::Pipeline) -> Result<Plan> {
        self.arrange(pipeline).map(|(plan, _)| plan.timed(&pipeline.parts().device))
    }

    fn arrange(&self, pipeline: &T::Pipeline) -> Result<(Plan, Arrangement)> {
        let budget = self.budget(pipeline)?;
        pipeline.dry_pipeline().with(|dry_pipeline| {
            let request = &self.for_plan(dry_pipeline);
            Search { request, what: request.describe()?, budget }.plan()
        })
    }
}
