//! What is kept of a model's layers, by branch of guidance and run of tokens.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::models::dit::cache::{parked::Parked, residual::Residual, work::How, work::Work};
use crate::models::dit::runs::Run;
use crate::ops::{copy::concat, lincomb::lincomb, rows::Reduction, rows::reduce, unary::Function, unary::unary};

/// See the module.
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
pub fn tokens(rec: &mut Recorder, runs: &[Run], on_host: bool) -> Result<Tokens> {
    runs.iter().map(|run| Parked::new(rec, run.x.clone(), on_host)).collect()
}

impl LayerCache {
    /// Whether the layers after the first ones are reused, by what these made of the tokens `before` them. If not, what was kept goes, as far as
    /// nobody needs it any more.
    pub fn reuses(&mut self, rec: &mut Recorder, branch: usize, work: &Work, before: &Tokens, runs: &[Run], on_host: bool) -> Result<bool> {
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
        if work.order == 0 || !work.keeps {
            own.residuals.clear();
        }
        own.probes.clear();
        if work.keeps {
            own.probes = now.into_iter().map(|probe| Parked::new(rec, probe, on_host)).collect::<Result<_>>()?;
        }
        Ok(false)
    }

    /// Adds to the tokens what the layers would have.
    pub fn apply(&self, rec: &mut Recorder, branch: usize, work: &Work, runs: &mut [Run]) -> Result<()> {
        let residuals = &self.branches[branch].residuals;
        if residuals.len() != runs.len() {
            return Err(Error::Unsupported("a pass that reuses what no pass before it kept".into()));
        }
        for (run, residual) in runs.iter_mut().zip(residuals) {
            run.x = residual.add_to(rec, &run.x, work.number)?;
        }
        Ok(())
    }

    /// Keeps what the layers did to the tokens `before` them.
    pub fn store(&mut self, rec: &mut Recorder, branch: usize, work: &Work, before: Tokens, runs: &[Run], on_host: bool) -> Result<()> {
        let own = &mut self.branches[branch];
        let mut past = std::mem::take(&mut own.residuals).into_iter();
        for (run, before) in runs.iter().zip(before) {
            let start = before.tensor(rec)?;
            let added = lincomb(rec, &[(1.0, &run.x), (-1.0, &start)], DType::F32)?;
            drop((before, start));
            own.residuals.push(Residual::new(rec, past.next().as_ref(), work.number, added, work.order, on_host)?);
        }
        Ok(())
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
            differences.push(row_sizes(rec, &changed)?);
            sizes.push(row_sizes(rec, &probe)?);
        }
        let rows = concat(rec, &differences.iter().chain(&sizes).collect::<Vec<_>>())?;
        let rows = rec.download(&rows)?;
        let (differences, sizes) = rows.split_at(rows.len() / 2);
        let sum = |rows: &[f32]| rows.iter().map(|&row| f64::from(row)).sum::<f64>();
        Ok(sum(differences) / sum(sizes))
    }
}

/// What was added to the tokens `before`, by run; nothing where there are none.
fn added(rec: &mut Recorder, before: &Tokens, runs: &[Run]) -> Result<Vec<Tensor>> {
    let added = |(run, before): (&Run, &Parked)| {
        let before = before.tensor(rec)?;
        lincomb(rec, &[(1.0, &run.x), (-1.0, &before)], DType::F32)
    };
    runs.iter().zip(before).map(added).collect()
}

/// The sum of sizes of each row of x [L, C].
fn row_sizes(rec: &mut Recorder, x: &Tensor) -> Result<Tensor> {
    let sizes = unary(rec, x, Function::Abs)?;
    reduce(rec, &sizes, Reduction::Sum)
}
