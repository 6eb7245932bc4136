//! Which of a run's evaluations reuse what the model's layers did before, as far as it has come.

use crate::cache::{judge::Judge, steps::Steps, steps::Way};
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::models::dit::{cache::work::How, cache::work::Work, radial::RadialAttention};
use crate::pipelines::run::{
    calibration::Calibration, denoise::guide, job::Job, job::unprepared, predictions, predictions::Predictions, state::Reused,
};
use crate::schedulers::Evaluation;

/// See the module. What is reused of layers is kept by the model's session; a saved state has the latents that it is made again from.
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
    /// Where they are reused in place of what layers did.
    predictions: Predictions,
    calibration: Option<Calibration>,
    radial: Option<RadialAttention>,
}

impl Reuse {
    pub fn new(steps: Steps, calibration: Option<Calibration>, radial: Option<RadialAttention>) -> Self {
        let (judges, decided, sources, predictions) = (Vec::new(), Vec::new(), Vec::new(), Predictions::default());
        Self { steps, judges, decided, sources, is_resumed: false, predictions, calibration, radial }
    }

    pub fn steps(&self) -> &Steps {
        &self.steps
    }

    /// What was measured so far.
    pub fn calibration(&self) -> Option<&Calibration> {
        self.calibration.as_ref()
    }

    /// A segment begins, or goes on from a saved state with these tensors of it.
    pub fn begin(&mut self, reused: Reused, tensors: Vec<Tensor>) {
        let Reused { decided, sources, course } = reused;
        self.judges.clear();
        self.decided = decided;
        self.is_resumed = !sources.is_empty();
        (self.sources, self.predictions) = match course {
            Some(_) => (Vec::new(), Predictions::new(course, tensors)),
            None => (sources.into_iter().zip(tensors).collect(), Predictions::default()),
        };
    }

    /// For a saved state.
    pub fn reused(&self) -> Reused {
        let sources = self.sources.iter().map(|(number, _)| *number).collect();
        Reused { decided: self.decided.clone(), sources, course: self.predictions.course() }
    }

    /// What a saved state has beside the scheduler's tensors.
    pub fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.sources.iter().map(|(_, latents)| latents).chain(self.predictions.tensors())
    }

    /// The velocity of latents after guidance, and whether it was computed by any branch.
    pub fn evaluate(&mut self, rec: &mut Recorder, job: &mut dyn Job, plan: &[Evaluation], latents: &Tensor) -> Result<(Tensor, bool)> {
        let number = self.decided.len();
        let timestep = plan.get(number).ok_or_else(unprepared)?.timestep;
        if let Some(velocity) = self.reused_prediction(rec, number, latents)? {
            self.note(number, 0, latents);
            return Ok((velocity, false));
        }
        if std::mem::take(&mut self.is_resumed) {
            self.make_again(rec, job, plan)?;
        }
        self.prepare_judges(job.branches());
        let (mut predictions, mut computed) = (Vec::new(), 0);
        for branch in 0..job.branches() {
            let prediction = job.predict(rec, branch, latents, timestep, self.work(number, branch))?;
            computed |= u8::from(prediction.is_computed) << branch;
            predictions.push(prediction.velocity);
            if let Some(calibration) = self.calibration.as_mut().filter(|_| branch == 0) {
                calibration.add(number, prediction.ratio);
            }
        }
        let guided = guide(rec, &predictions, job.guidance_scale())?;
        if matches!(self.steps.way(), Way::Easy(_)) && self.steps.keeps(number) {
            self.predictions.keep(rec, latents, &predictions[0], &guided)?;
        }
        self.note(number, computed, latents);
        Ok((guided, computed != 0))
    }

    /// The last prediction, where it is reused as it is.
    fn reused_prediction(&mut self, rec: &mut Recorder, number: usize, latents: &Tensor) -> Result<Option<Tensor>> {
        match self.steps.way() {
            Way::Easy(easy) if self.steps.may_reuse(number) => self.predictions.reuse(rec, easy, latents),
            _ => Ok(None),
        }
    }

    /// An evaluation that a plan does not look at.
    pub fn pass_over(&mut self) {
        self.decided.push(1);
    }

    fn work(&self, number: usize, branch: usize) -> Work<'_> {
        let (measures, is_measured) = self.steps.measures(number);
        let how = match (self.steps.way(), self.judges.get(branch)) {
            (Way::Easy(_), _) => return Work { radial: self.radial_at(number), ..Work::default() },
            _ if !self.steps.may_reuse(number) => How::Compute,
            (_, Some(judge)) => How::Judge(judge),
            (_, None) => How::Reuse,
        };
        let keeps = self.steps.keeps(number) || is_measured && branch == 0;
        let (ends, order, radial) = (self.steps.ends(), self.steps.order(), self.radial_at(number));
        Work { ends, number, order, keeps, measures: measures && branch == 0, how, radial }
    }

    pub fn radial(&self) -> Option<RadialAttention> {
        self.radial
    }

    fn radial_at(&self, number: usize) -> Option<RadialAttention> {
        self.radial.filter(|radial| number >= radial.dense_steps)
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
            self.predictions.clear();
            return;
        }
        for (branch, judge) in self.judges.iter_mut().enumerate() {
            judge.note(computed >> branch & 1 == 1);
        }
        let needed = sources(&self.steps, &self.decided);
        self.sources.push((number, latents.clone()));
        self.sources.retain(|(number, _)| needed.contains(number));
    }
}

/// How many tensors a saved state has beside the scheduler's; none where that is of other steps.
pub(crate) fn count_of_tensors(steps: &Steps, reused: &Reused) -> Option<usize> {
    let Reused { decided, sources: told, course } = reused;
    let keeps = decided.last().is_some() && steps.keeps(decided.len() - 1);
    match steps.way() {
        Way::Easy(_) => (course.is_some() == keeps && told.is_empty()).then_some(if keeps { predictions::TENSORS } else { 0 }),
        _ => (course.is_none() && *told == sources(steps, decided)).then_some(told.len()),
    }
}

/// Evaluations whose work in layers may be reused after these were decided.
fn sources(steps: &Steps, decided: &[u8]) -> Vec<usize> {
    if matches!(steps.way(), Way::Easy(_)) || decided.is_empty() || !steps.keeps(decided.len() - 1) {
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
