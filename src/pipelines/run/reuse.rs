//! Which of a run's evaluations reuse what the model's layers did before, as far as it has come.

use crate::cache::{judge::Judge, steps::Steps, steps::Way};
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::models::dit::cache::work::{How, Work};
use crate::pipelines::run::{denoise::guide, job::Job, job::unprepared, state::Reused};
use crate::schedulers::Evaluation;

/// See the module. What is reused itself is kept by the model's session; a saved state has the latents that it is made again from.
pub(crate) struct Reuse {
    steps: Steps,
    /// By branch, where something is judged on the way.
    judges: Vec<Judge>,
    /// By evaluation of the segment, which branches were computed: the first is bit 0.
    decided: Vec<u8>,
    /// Evaluations whose work may be reused, with the latents that they looked at.
    sources: Vec<(usize, Tensor)>,
    /// Whether the session has yet to be given what the sources are for.
    is_resumed: bool,
}

impl Reuse {
    pub fn new(steps: Steps) -> Self {
        Self { steps, judges: Vec::new(), decided: Vec::new(), sources: Vec::new(), is_resumed: false }
    }

    pub fn steps(&self) -> &Steps {
        &self.steps
    }

    /// A segment begins, or goes on from a saved state with these latents of its sources.
    pub fn begin(&mut self, reused: Reused, sources: Vec<Tensor>) {
        (self.decided, self.is_resumed) = (reused.decided, !sources.is_empty());
        self.sources = reused.sources.into_iter().zip(sources).collect();
        self.judges.clear();
    }

    /// For a saved state.
    pub fn reused(&self) -> Reused {
        Reused { decided: self.decided.clone(), sources: self.sources.iter().map(|(number, _)| *number).collect() }
    }

    /// Latents of the sources.
    pub fn sources(&self) -> impl Iterator<Item = &Tensor> {
        self.sources.iter().map(|(_, latents)| latents)
    }

    /// The velocity of latents after guidance, and whether it was computed by any branch.
    pub fn evaluate(&mut self, rec: &mut Recorder, job: &mut dyn Job, plan: &[Evaluation], latents: &Tensor) -> Result<(Tensor, bool)> {
        let number = self.decided.len();
        let timestep = plan.get(number).ok_or_else(unprepared)?.timestep;
        if std::mem::take(&mut self.is_resumed) {
            self.make_again(rec, job, plan)?;
        }
        self.prepare_judges(job.branches());
        let (mut predictions, mut computed) = (Vec::new(), 0);
        for branch in 0..job.branches() {
            let (prediction, is_computed) = job.predict(rec, branch, latents, timestep, self.work(number, branch))?;
            predictions.push(prediction);
            computed |= u8::from(is_computed) << branch;
        }
        self.note(number, computed, latents);
        Ok((guide(rec, &predictions, job.guidance_scale())?, computed != 0))
    }

    /// An evaluation that a plan does not look at.
    pub fn pass_over(&mut self) {
        self.decided.push(1);
    }

    fn work(&self, number: usize, branch: usize) -> Work<'_> {
        let how = match self.judges.get(branch) {
            _ if !self.steps.may_reuse(number) => How::Compute,
            Some(judge) => How::Judge(judge),
            None => How::Reuse,
        };
        Work { ends: self.steps.ends(), number, order: self.steps.order(), keeps: self.steps.keeps(number), how }
    }

    /// The session takes over what evaluations before the saved state had left it.
    fn make_again(&self, rec: &mut Recorder, job: &mut dyn Job, plan: &[Evaluation]) -> Result<()> {
        for branch in 0..job.branches() {
            let needed = last_computed(&self.decided, branch, self.steps.order() + 1);
            for (number, latents) in self.sources.iter().filter(|(number, _)| needed.contains(number)) {
                let work = Work { how: How::Compute, keeps: true, ..self.work(*number, branch) };
                job.predict(rec, branch, latents, plan[*number].timestep, work)?;
            }
        }
        Ok(())
    }

    /// Judges that know what was decided while something was kept.
    fn prepare_judges(&mut self, branches: usize) {
        let Way::Judge(judge) = self.steps.way() else { return };
        if !self.judges.is_empty() {
            return;
        }
        let known = (0..self.decided.len()).rev().take_while(|&number| self.steps.keeps(number)).count();
        let decided = &self.decided[self.decided.len() - known..];
        let of_branch = |branch: usize| {
            let mut judge = judge.clone();
            decided.iter().for_each(|computed| judge.note(computed >> branch & 1 == 1));
            judge
        };
        self.judges = (0..branches).map(of_branch).collect();
    }

    /// What was decided of an evaluation of these latents.
    fn note(&mut self, number: usize, computed: u8, latents: &Tensor) {
        self.decided.push(computed);
        if !self.steps.keeps(number) {
            self.sources.clear();
            self.judges.clear();
            return;
        }
        for (branch, judge) in self.judges.iter_mut().enumerate() {
            judge.note(computed >> branch & 1 == 1);
        }
        if computed != 0 {
            self.sources.push((number, latents.clone()));
        }
        let needed = sources(&self.steps, &self.decided);
        self.sources.retain(|(number, _)| needed.contains(number));
    }
}

/// Evaluations whose work may be reused after these were decided.
pub(crate) fn sources(steps: &Steps, decided: &[u8]) -> Vec<usize> {
    if decided.is_empty() || !steps.keeps(decided.len() - 1) {
        return Vec::new();
    }
    let branches = u8::BITS as usize;
    let mut sources: Vec<usize> = (0..branches).flat_map(|branch| last_computed(decided, branch, steps.order() + 1)).collect();
    // What was computed before nothing was kept is gone.
    let first = (0..decided.len()).rev().take_while(|&number| steps.keeps(number)).last().unwrap_or(0);
    sources.retain(|&number| number >= first);
    sources.sort_unstable();
    sources.dedup();
    sources
}

/// The last `count` evaluations that a branch computed.
fn last_computed(decided: &[u8], branch: usize, count: usize) -> Vec<usize> {
    (0..decided.len()).rev().filter(|&number| decided[number] >> branch & 1 == 1).take(count).collect()
}
