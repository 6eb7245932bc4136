//! What is kept of a model's layers, by branch of guidance and run of tokens.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::models::dit::cache::{parked::Parked, residual::Residual, work::How, work::Work};
use crate::models::dit::runs::TokenRun;
use crate::ops::{lincomb::lincomb, magnitude::row_magnitudes, magnitude::sums};

#[derive(Debug, Default)]
pub struct LayerCache {
    branches: Vec<Branch>,
}

#[derive(Debug, Default)]
struct Branch {
    /// What the layers at the beginning added when the others were last computed.
    probes: Vec<Parked>,
    /// What the others did.
    residuals: Vec<Residual>,
}

/// The tokens of all runs at some point.
pub type Tokens = Vec<Parked>;

/// The tokens as they are now.
pub fn tokens(rec: &mut Recorder, runs: &[TokenRun], on_host: bool) -> Result<Tokens> {
    runs.iter().map(|run| Parked::new(rec, run.x.clone(), on_host)).collect()
}

impl LayerCache {
    /// Whether the layers after the first ones are reused, by what these made of the tokens `before` them. If not, what was kept goes, as far as
    /// nobody needs it any more.
    pub fn reuses(
        &mut self,
        rec: &mut Recorder,
        branch: usize,
        work: &Work,
        before: &Tokens,
        runs: &[TokenRun],
        on_host: bool,
    ) -> Result<bool> {
        if self.branches.len() <= branch {
            self.branches.resize_with(branch + 1, Branch::default);
        }
        let own = &mut self.branches[branch];
        let now = added(rec, before, runs)?;
        let reuses = match &work.how {
            How::Compute => false,
            How::Reuse => true,
            How::Judge(judge) if own.residuals.len() == runs.len() => judge.reuses(|| own.change(rec, &now))?,
            How::Judge(_) => false,
        };
        if reuses {
            return Ok(true);
        }
        if !(work.measures || work.keeps && work.order > 0) {
            own.residuals.clear();
        }
        own.probes.clear();
        if work.keeps {
            own.probes = now.into_iter().map(|probe| Parked::new(rec, probe, on_host)).collect::<Result<_>>()?;
        }
        Ok(false)
    }

    /// Adds to the tokens what the layers would have.
    pub fn apply(&self, rec: &mut Recorder, branch: usize, work: &Work, runs: &mut [TokenRun]) -> Result<()> {
        let residuals = &self.branches[branch].residuals;
        if residuals.len() != runs.len() {
            return Err(Error::Unsupported("a pass that reuses what no pass before it kept".into()));
        }
        for (run, residual) in runs.iter_mut().zip(residuals) {
            run.x = residual.add_to(rec, &run.x, work.number)?;
        }
        Ok(())
    }

    /// Keeps what the layers did to the tokens `before` them. Gives its size in parts of that in the pass before, in the mean of tokens,
    /// where that is measured and there was one.
    pub fn store(
        &mut self,
        rec: &mut Recorder,
        branch: usize,
        work: &Work,
        before: Tokens,
        runs: &[TokenRun],
        on_host: bool,
    ) -> Result<Option<f64>> {
        let own = &mut self.branches[branch];
        let mut past = std::mem::take(&mut own.residuals).into_iter();
        let mut ratios = Vec::new();
        for (run, before) in runs.iter().zip(before) {
            let start = before.tensor(rec)?;
            let added = lincomb(rec, &[(1.0, &run.x), (-1.0, &start)], DType::F32)?;
            drop((before, start));
            let past = past.next();
            if let Some(past) = past.as_ref().filter(|_| work.measures) {
                ratios.extend(past.ratios(rec, &added)?);
            }
            own.residuals.push(Residual::new(rec, past.as_ref(), work.number, added, work.order, on_host)?);
        }
        Ok((!ratios.is_empty()).then(|| ratios.iter().sum::<f64>() / ratios.len() as f64))
    }

    /// Nothing that is kept for a branch is needed any more.
    pub fn clear(&mut self, branch: usize) {
        self.branches[branch] = Branch::default();
    }
}

impl Branch {
    /// By how much what the first layers add, `now`, has changed since: mean size of the difference in parts of the mean size before. Waits
    /// for the GPU, once.
    fn change(&self, rec: &mut Recorder, now: &[Tensor]) -> Result<f64> {
        let (mut differences, mut sizes) = (Vec::new(), Vec::new());
        for (now, probe) in now.iter().zip(&self.probes) {
            let probe = probe.tensor(rec)?;
            let changed = lincomb(rec, &[(1.0, now), (-1.0, &probe)], DType::F32)?;
            differences.push(row_magnitudes(rec, &changed)?);
            sizes.push(row_magnitudes(rec, &probe)?);
        }
        differences.append(&mut sizes);
        let sums = sums(rec, &differences)?;
        let (differences, sizes) = sums.split_at(sums.len() / 2);
        Ok(differences.iter().sum::<f64>() / sizes.iter().sum::<f64>())
    }
}

/// What was added to the tokens `before`, by run; nothing where there are none.
fn added(rec: &mut Recorder, before: &Tokens, runs: &[TokenRun]) -> Result<Vec<Tensor>> {
    let added = |(run, before): (&TokenRun, &Parked)| {
        let before = before.tensor(rec)?;
        lincomb(rec, &[(1.0, &run.x), (-1.0, &before)], DType::F32)
    };
    runs.iter().zip(before).map(added).collect()
}
