//! The loop over a scheduler's plan, one evaluation of the model a call.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::gpu::{Download, Recorder, Tensor};
use crate::ops::lincomb::lincomb;
use crate::pipelines::run::state::Denoised;
use crate::schedulers::{Evaluation, LATENTS, Term};

/// The prediction that guidance makes of those with and without the prompt; the first alone where there is no other.
pub fn guide(rec: &mut Recorder, predictions: &[Tensor], scale: f64) -> Result<Tensor> {
    match predictions {
        [conditional, unconditional] => lincomb(rec, &[(scale, conditional), (1.0 - scale, unconditional)], DType::F32),
        [alone] => Ok(alone.clone()),
        _ => Err(Error::Unsupported(format!("guidance by {} predictions", predictions.len()))),
    }
}

/// Latents on their way from noise to data.
#[derive(Debug)]
pub struct Denoiser {
    slots: Vec<Option<Tensor>>,
    done: usize,
}

impl Denoiser {
    /// Goes on where [`download`](Self::download) left off; `shape` is that of all slots, of which the first `count` are the
    /// scheduler's.
    pub(crate) fn upload(rec: &mut Recorder, shape: &[usize], denoised: &Denoised, count: usize) -> Result<Self> {
        let slots = denoised.slots.iter().take(count).map(|slot| slot.as_ref().map(|values| rec.upload(shape, values)).transpose());
        Ok(Self { slots: slots.collect::<Result<_>>()?, done: denoised.done })
    }

    /// Copies to the host, to be waited for later.
    pub(crate) fn download(&self, rec: &mut Recorder) -> Result<Vec<Option<Download>>> {
        self.slots.iter().map(|slot| slot.as_ref().map(|tensor| rec.download_later(tensor)).transpose()).collect()
    }

    /// How many of the plan's evaluations have been applied.
    pub fn done(&self) -> usize {
        self.done
    }

    /// What the model is to look at; in the end the result.
    pub fn latents(&self) -> Result<&Tensor> {
        self.slot(LATENTS)
    }

    /// Applies the updates that follow `evaluation`. `noise` draws a tensor where a scheduler adds fresh noise.
    pub fn advance(
        &mut self,
        rec: &mut Recorder,
        evaluation: &Evaluation,
        velocity: &Tensor,
        mut noise: impl FnMut(&mut Recorder) -> Result<Tensor>,
    ) -> Result<()> {
        for update in &evaluation.updates {
            let needs_noise = update.terms.iter().any(|(term, _)| *term == Term::Noise);
            let noise = if needs_noise { Some(noise(rec)?) } else { None };
            let terms = update.terms.iter().map(|&(term, weight)| {
                let tensor = match term {
                    Term::Slot(slot) => self.slot(slot)?,
                    Term::Velocity => velocity,
                    Term::Noise => noise.as_ref().ok_or_else(|| Error::Unsupported("a scheduler's noise".into()))?,
                };
                Ok((weight, tensor))
            });
            let combined = lincomb(rec, &terms.collect::<Result<Vec<_>>>()?, DType::F32)?;
            self.slots[update.into] = Some(combined);
        }
        self.done += 1;
        Ok(())
    }

    fn slot(&self, slot: usize) -> Result<&Tensor> {
        self.slots.get(slot).and_then(Option::as_ref).ok_or_else(|| Error::Unsupported(format!("a scheduler read slot {slot} unwritten")))
    }
}
