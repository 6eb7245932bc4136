//! Predictions that are reused whole.

use crate::cache::easy::{Course, Easy};
use crate::dtype::DType;
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::ops::lincomb::lincomb;
use crate::ops::magnitude::{row_magnitudes, sums};

/// Tensors that a saved state has of them.
pub const TENSORS: usize = 4;

/// See the module: of one segment and expert.
#[derive(Default)]
pub(crate) struct Predictions {
    kept: Option<Kept>,
}

/// All tensors are [C, T, H, W].
struct Kept {
    course: Course,
    /// Latents of the last evaluation, whether it was computed or not.
    latest: Tensor,
    /// Of the last one that was computed.
    latents: Tensor,
    /// Its prediction with the prompt.
    conditional: Tensor,
    /// The one that guidance made of it.
    guided: Tensor,
}

impl Predictions {
    /// As a saved state has them.
    pub fn new(course: Option<Course>, tensors: Vec<Tensor>) -> Self {
        let tensors: Option<[Tensor; TENSORS]> = tensors.try_into().ok();
        let kept = course.zip(tensors);
        Self { kept: kept.map(|(course, [latest, latents, conditional, guided])| Kept { course, latest, latents, conditional, guided }) }
    }

    /// For a saved state.
    pub fn course(&self) -> Option<Course> {
        self.kept.as_ref().map(|kept| kept.course.clone())
    }

    /// For a saved state: as many as are told, or none.
    pub fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.kept.iter().flat_map(|kept| [&kept.latest, &kept.latents, &kept.conditional, &kept.guided])
    }

    /// Nothing is needed any more.
    pub fn clear(&mut self) {
        self.kept = None;
    }

    /// The velocity of latents, where the last prediction is reused for them. Waits for the GPU.
    pub fn reuse(&mut self, rec: &mut Recorder, easy: &Easy, latents: &Tensor) -> Result<Option<Tensor>> {
        let Some(kept) = &mut self.kept else { return Ok(None) };
        let change = change(rec, latents, &kept.latest)?;
        let change = mean(rec, latents.len(), &[change])?[0];
        kept.latest = latents.clone();
        if !easy.reuses(&mut kept.course, change) {
            return Ok(None);
        }
        lincomb(rec, &[(1.0, latents), (1.0, &kept.guided), (-1.0, &kept.latents)], DType::F32).map(Some)
    }

    /// A prediction was computed for latents. Waits for the GPU.
    pub fn keep(&mut self, rec: &mut Recorder, latents: &Tensor, conditional: &Tensor, guided: &Tensor) -> Result<()> {
        let mut rows = vec![row_magnitudes(rec, conditional)?];
        if let Some(kept) = &self.kept {
            rows.push(change(rec, latents, &kept.latents)?);
            rows.push(change(rec, conditional, &kept.conditional)?);
        }
        let mut course = self.course().unwrap_or_default();
        match mean(rec, latents.len(), &rows)?[..] {
            [size, of_latents, of_prediction] => course.compute(size, Some((of_latents, of_prediction))),
            ref sizes => course.compute(sizes[0], None),
        }
        let [latents, conditional, guided] = [latents, conditional, guided].map(Clone::clone);
        self.kept = Some(Kept { course, latest: latents.clone(), latents, conditional, guided });
        Ok(())
    }
}

/// By row, the sizes of the differences of two tensors.
fn change(rec: &mut Recorder, now: &Tensor, before: &Tensor) -> Result<Tensor> {
    let difference = lincomb(rec, &[(1.0, now), (-1.0, before)], DType::F32)?;
    row_magnitudes(rec, &difference)
}

/// Mean sizes of elements, of each of the tensors of `count` elements that these rows are of.
fn mean(rec: &mut Recorder, count: usize, rows: &[Tensor]) -> Result<Vec<f64>> {
    Ok(sums(rec, rows)?.into_iter().map(|sum| sum / count as f64).collect())
}
