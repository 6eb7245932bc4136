//! A tensor of a checkpoint with what LoRAs add to it, in a form that models compute with.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{delta::Delta, encoding::Encoding, low_rank::LowRank, quantized::Quantized, quantized::QuantizedForm, stored::Stored};
use crate::dtype::DType;
use crate::error::Result;

pub(super) struct Tensor {
    pub(super) stored: Stored,
    /// What LoRAs add to it.
    pub(super) deltas: Vec<Delta>,
    used: AtomicBool,
}

impl From<Stored> for Tensor {
    fn from(stored: Stored) -> Self {
        Self { stored, deltas: Vec::new(), used: AtomicBool::new(false) }
    }
}

impl Tensor {
    /// Whether a model has made use of it, or has no use for it.
    pub(super) fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// From now on it counts as used.
    pub(super) fn set_used(&self) {
        self.used.store(true, Ordering::Relaxed);
    }

    /// How [`Tensor::elements`] are stored.
    pub(super) fn dtype(&self) -> DType {
        match self.stored.info.encoding {
            Encoding::Float(dtype) if self.stored.scale.is_none() && self.deltas.is_empty() => dtype,
            _ => DType::F32,
        }
    }

    /// Its elements in a form that models compute with.
    pub(super) fn elements(&self) -> Result<Cow<'_, [u8]>> {
        match self.stored.info.encoding {
            Encoding::Float(_) if self.stored.scale.is_none() && self.deltas.is_empty() => self.stored.dense_bytes(),
            _ => Ok(Cow::Owned(bytemuck::cast_slice(&self.to_f32()?).to_vec())),
        }
    }

    /// Its elements in f32.
    fn to_f32(&self) -> Result<Vec<f32>> {
        let mut values = self.stored.to_f32()?;
        self.deltas.iter().try_for_each(|delta| delta.add_to(&mut values))?;
        Ok(values)
    }

    /// What [`Tensor::quantized`] reads, where its stored form is quantised and its rows can be dequantized by themselves. LoRAs must be of low
    /// rank, else they have to be merged.
    pub(super) fn form(&self) -> Option<QuantizedForm> {
        let encoding = self.stored.info.encoding;
        let (rows, cols) = self.size()?;
        let is_quantized = matches!(encoding, Encoding::F8E4M3 | Encoding::F8E5M2 | Encoding::I8 | Encoding::Block(_));
        encoding.bytes(cols as u64).filter(|_| is_quantized && self.stored.rotation.is_none())?;
        let rank = match &self.deltas[..] {
            [] => None,
            deltas => Some(LowRank::rank(deltas, rows, cols)?),
        };
        Some(QuantizedForm { encoding, scales: self.stored.scale.as_ref().map_or(0, |scale| scale.count()), rank })
    }

    /// Its elements in their stored form.
    pub(super) fn quantized(&self) -> Result<Quantized<'_>> {
        let (rows, cols) = self.size().unwrap_or_default();
        let change = if self.deltas.is_empty() { None } else { Some(LowRank::read(&self.deltas, rows, cols)?) };
        let scales = self.stored.scale.as_ref().map_or_else(|| Ok(Vec::new()), |scale| scale.values())?;
        Ok(Quantized { encoding: self.stored.info.encoding, bytes: self.stored.dense_bytes()?, scales, change })
    }

    /// Rows and columns, or `None` of a single number.
    fn size(&self) -> Option<(usize, usize)> {
        let (&rows, rest) = self.stored.info.shape.split_first()?;
        Some((rows, rest.iter().product()))
    }
}
