//! A tensor as it lies in a file, and its elements in a form that models compute with.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use memmap2::Mmap;

use super::Encoding;
use super::decode::{decode, gather};
use super::entry::Entry;
use super::lora::{Delta, LowRank};
use super::quantized::apply_scale;
use super::quantized_view::Quantized;
use super::rotation::rotate;
use crate::DType;

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

/// A tensor in a mapped file.
pub(super) struct Tensor {
    pub(super) info: TensorInfo,
    map: Arc<Mmap>,
    range: Range<usize>,
    strides: Option<Vec<usize>>,
    /// What the stored numbers are to be multiplied by: one factor, or one for each row.
    pub(super) scale: Option<Arc<Tensor>>,
    /// Over how many neighbours in a row the stored numbers are rotated.
    pub(super) rotation: Option<usize>,
    /// What LoRAs add to it.
    pub(super) deltas: Vec<Delta>,
    pub(super) used: AtomicBool,
}

impl Tensor {
    pub(super) fn new(file: &Arc<Path>, map: &Arc<Mmap>, entry: &Entry) -> Self {
        let info = TensorInfo { encoding: entry.encoding, shape: entry.shape.clone(), file: file.clone() };
        let (range, strides) = (entry.range.clone(), entry.strides.clone());
        Self { info, map: map.clone(), range, strides, scale: None, rotation: None, deltas: Vec::new(), used: AtomicBool::new(false) }
    }

    /// Its elements in a form that models compute with.
    pub(super) fn elements(&self) -> (DType, Cow<'_, [u8]>) {
        match self.info.encoding {
            Encoding::Float(dtype) if self.scale.is_none() && self.deltas.is_empty() => (dtype, self.dense_bytes()),
            _ => (DType::F32, Cow::Owned(bytemuck::cast_slice(&self.to_f32()).to_vec())),
        }
    }

    /// [`Tensor::elements`] without reading them: zeros where they would be converted.
    pub(super) fn outline(&self) -> (DType, Cow<'_, [u8]>) {
        match self.info.encoding {
            Encoding::Float(dtype) if self.scale.is_none() && self.deltas.is_empty() && self.strides.is_none() => {
                (dtype, self.dense_bytes())
            }
            Encoding::Float(dtype) if self.scale.is_none() && self.deltas.is_empty() => {
                (dtype, Cow::Owned(vec![0; self.count() * dtype.bytes() as usize]))
            }
            _ => (DType::F32, Cow::Owned(vec![0; self.count() * 4])),
        }
    }

    /// Its elements in their stored form, where that is quantised and its rows can be expanded by themselves. LoRAs must be of low rank, else
    /// they have to be merged. Where it is not to be `read`, zeros stand for whatever does not lie in the file as it is.
    pub(super) fn quantized(&self, read: bool) -> Option<Quantized<'_>> {
        let encoding = self.info.encoding;
        let (&rows, rest) = self.info.shape.split_first()?;
        let cols = rest.iter().product();
        let is_quantized =
            self.rotation.is_none() && matches!(encoding, Encoding::F8E4M3 | Encoding::F8E5M2 | Encoding::I8 | Encoding::Block(_));
        let row_bytes = encoding.bytes(cols as u64).filter(|_| is_quantized)? as usize;
        let change = match &self.deltas[..] {
            [] => None,
            deltas => Some(LowRank::of(deltas, rows, cols, read)?),
        };
        let scales = self.scale.as_ref().map_or_else(Vec::new, |scale| if read { scale.values() } else { vec![0.0; scale.count()] });
        let bytes = if read || self.strides.is_none() { self.dense_bytes() } else { Cow::Owned(vec![0; rows * row_bytes]) };
        Some(Quantized { encoding, bytes, scales, change })
    }

    /// Its elements in f32.
    pub(super) fn to_f32(&self) -> Vec<f32> {
        let mut values = self.values();
        if let Some(scale) = &self.scale {
            apply_scale(&mut values, &scale.values());
        }
        if let Some(group) = self.rotation {
            rotate(&mut values, group);
        }
        self.deltas.iter().for_each(|delta| delta.add_to(&mut values));
        values
    }

    /// Its elements in f32 as they are stored, unscaled and unchanged.
    fn values(&self) -> Vec<f32> {
        decode(self.info.encoding, &self.dense_bytes())
    }

    /// Part `part` of `parts` equal ones along the first axis, or `None` where it has no such parts.
    pub(super) fn part(&self, part: usize, parts: usize) -> Option<Self> {
        if parts == 1 {
            return Some(self.with(self.info.clone(), self.range.clone(), self.scale.clone()));
        }
        let rows = self.info.shape.first().filter(|rows| rows.is_multiple_of(parts))? / parts;
        self.rows(part * rows..(part + 1) * rows)
    }

    /// Some of its places along the first axis, without what LoRAs add, or `None` where it has none or they are no whole blocks.
    pub(super) fn rows(&self, rows: Range<usize>) -> Option<Self> {
        let mut info = self.info.clone();
        let first = info.shape.first_mut().filter(|all| rows.end <= **all)?;
        let all = std::mem::replace(first, rows.len());
        let bytes = |elements: usize| self.info.encoding.bytes(elements as u64).map(|bytes| bytes as usize);
        let (begin, end) = match &self.strides {
            // Of nothing there may be any strides.
            Some(strides) => (bytes(strides[0].checked_mul(rows.start)?)?, self.range.len()),
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
        Some(self.with(info, self.range.start + begin..self.range.start + end, scale))
    }

    fn with(&self, info: TensorInfo, range: Range<usize>, scale: Option<Arc<Self>>) -> Self {
        Self {
            info,
            map: self.map.clone(),
            range,
            strides: self.strides.clone(),
            scale,
            rotation: self.rotation,
            deltas: Vec::new(),
            used: AtomicBool::new(false),
        }
    }

    /// Gives the memory that its bytes were read into back to the system, which reads them again if they are asked for again.
    #[allow(unsafe_code)]
    pub(super) fn release(&self) {
        // SAFETY: the mapping is shared, and read-only, so its pages hold nothing but what the file holds: those that are dropped are read from
        // it again when they are touched, and what references to them see does not change. A refusal changes nothing.
        #[cfg(unix)]
        let _ = unsafe { self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, self.range.start, self.range.len()) };
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
    pub(super) fn file_bytes(&self) -> &[u8] {
        &self.map
    }

    /// Its bytes as they lie in the file.
    pub(super) fn stored(&self) -> &[u8] {
        &self.map[self.range.clone()]
    }

    /// Its bytes without gaps.
    pub(super) fn dense_bytes(&self) -> Cow<'_, [u8]> {
        let stored = self.stored();
        match &self.strides {
            None => Cow::Borrowed(stored),
            Some(strides) => {
                let width = self.info.encoding.bytes(1).unwrap_or(1) as usize;
                Cow::Owned(gather(stored, &self.info.shape, strides, width))
            }
        }
    }
}
