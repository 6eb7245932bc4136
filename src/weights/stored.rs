//! A tensor as it lies in a file.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::{decode::decode, decode::gather, encoding::Encoding, entry::Entry, rotation::rotate};
use crate::content::Content;
use crate::error::{Error, Result};

/// How many numbers a run has.
const RUN: usize = 1 << 20;

/// What a checkpoint says of a tensor.
#[derive(Clone, Debug)]
pub struct TensorInfo {
    /// How its elements are stored.
    pub encoding: Encoding,
    /// Its extents, the last contiguous.
    pub shape: Vec<usize>,
    /// The file that holds it.
    pub file: Arc<Path>,
}

/// A tensor in a file. Clones share the file.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) info: TensorInfo,
    content: Content,
    range: Range<usize>,
    strides: Option<Vec<usize>>,
    /// What the stored numbers are to be multiplied by: one factor, or one for each row.
    pub(super) scale: Option<Arc<Stored>>,
    /// Over how many neighbours in a row the stored numbers are rotated.
    pub(super) rotation: Option<usize>,
}

impl Stored {
    pub(super) fn new(file: &Arc<Path>, content: &Content, entry: Entry) -> Self {
        let info = TensorInfo { encoding: entry.encoding, shape: entry.shape, file: file.clone() };
        Self { info, content: content.clone(), range: entry.range, strides: entry.strides, scale: None, rotation: None }
    }

    /// Its elements in f32.
    pub(super) fn to_f32(&self) -> Result<Vec<f32>> {
        let mut values = self.values()?;
        if let Some(scale) = &self.scale {
            apply_scale(&mut values, &scale.values()?);
        }
        if let Some(group) = self.rotation {
            rotate(&mut values, group);
        }
        Ok(values)
    }

    /// Its elements in f32 as they are stored, unscaled.
    pub(super) fn values(&self) -> Result<Vec<f32>> {
        Ok(decode(self.info.encoding, &self.dense_bytes()?))
    }

    /// Part `part` of `parts` equal ones along the first axis, or `None` where it has no such parts.
    pub(super) fn part(&self, part: usize, parts: usize) -> Option<Self> {
        if parts == 1 {
            return Some(self.clone());
        }
        let rows = self.info.shape.first().filter(|rows| rows.is_multiple_of(parts))? / parts;
        self.rows(part * rows..(part + 1) * rows)
    }

    /// It in runs of some of its rows, or as a whole where it has no such runs, each with the number of its first element.
    pub(super) fn runs(&self) -> impl Iterator<Item = (usize, Self)> {
        let rows = self.info.shape.first().copied().unwrap_or(1);
        let cols = self.count() / rows.max(1);
        let step = if self.rows(0..1.min(rows)).is_some() { (RUN / cols.max(1)).max(1) } else { rows };
        let run = move |row: usize| Some((row * cols, self.rows(row..rows.min(row + step)).or_else(|| self.part(0, 1))?));
        (0..rows).step_by(step.max(1)).filter_map(run)
    }

    /// Some of its places along the first axis, or `None` where it has none or they are no whole blocks.
    pub(super) fn rows(&self, rows: Range<usize>) -> Option<Self> {
        let mut info = self.info.clone();
        let first = info.shape.first_mut().filter(|all| rows.end <= **all)?;
        let all = std::mem::replace(first, rows.len());
        let bytes = |elements: usize| self.info.encoding.bytes(elements as u64).map(|bytes| bytes as usize);
        let (begin, end) = match &self.strides {
            Some(strides) => {
                let begin = bytes(strides[0].checked_mul(rows.start)?)?;
                // Of nothing there may be any strides.
                let last = info
                    .shape
                    .iter()
                    .zip(strides)
                    .try_fold(0usize, |sum, (&dim, &stride)| sum.checked_add(dim.checked_sub(1)?.checked_mul(stride)?));
                (begin, last.map_or(Some(begin), |last| begin.checked_add(bytes(last + 1)?))?.min(self.range.len()))
            }
            None => {
                let cols = info.shape[1..].iter().product::<usize>();
                (bytes(rows.start * cols)?, bytes(rows.end * cols)?)
            }
        };
        end.checked_sub(begin)?;
        let scale = match &self.scale {
            Some(factors) if factors.count() > 1 => Some(Arc::new(factors.rows(rows).filter(|_| factors.count() == all)?)),
            scale => scale.clone(),
        };
        let range = self.range.start + begin..self.range.start + end;
        Some(Self { info, content: self.content.clone(), range, strides: self.strides.clone(), scale, rotation: self.rotation })
    }

    /// Gives the memory that its bytes were read into back to the system, which reads them again if they are asked for again.
    pub(super) fn release(&self) {
        self.content.release(&self.range);
    }

    /// Drops its extents of 1.
    pub(super) fn squeeze(&mut self) {
        let keep: Vec<bool> = self.info.shape.iter().map(|&dim| dim != 1).collect();
        for list in [Some(&mut self.info.shape), self.strides.as_mut()].into_iter().flatten() {
            let mut keep = keep.iter();
            list.retain(|_| keep.next() == Some(&true));
        }
    }

    /// How many elements it has.
    pub(super) fn count(&self) -> usize {
        self.info.shape.iter().product()
    }

    /// The whole content of its file.
    pub(super) fn content(&self) -> &Content {
        &self.content
    }

    /// Its bytes as they lie in the file.
    pub(super) fn stored(&self) -> Result<Cow<'_, [u8]>> {
        self.content.bytes(self.range.clone()).map_err(Error::io(&self.info.file))
    }

    /// At most so many of the first of them.
    pub(super) fn head(&self, most: usize) -> Result<Cow<'_, [u8]>> {
        let Range { start, end } = self.range;
        self.content.bytes(start..end.min(start + most)).map_err(Error::io(&self.info.file))
    }

    /// Its bytes without gaps.
    pub(super) fn dense_bytes(&self) -> Result<Cow<'_, [u8]>> {
        let stored = self.stored()?;
        let Some(strides) = &self.strides else { return Ok(stored) };
        let width = self.info.encoding.bytes(1).unwrap_or(1) as usize;
        Ok(Cow::Owned(gather(&stored, &self.info.shape, strides, width)))
    }
}

/// Multiplies all values by one factor, or each row by its own.
fn apply_scale(values: &mut [f32], factors: &[f32]) {
    let row = (values.len() / factors.len().max(1)).max(1);
    for (row, factor) in values.chunks_mut(row).zip(factors) {
        row.iter_mut().for_each(|value| *value *= factor);
    }
}
