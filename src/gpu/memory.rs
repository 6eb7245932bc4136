//! How much GPU memory the crate's buffers take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Bytes of GPU memory in the crate's buffers; those on the way to and from the host, which live shortly, are not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryUse {
    /// Now, free buffers kept for reuse included.
    pub current: u64,
    /// At most since the device was opened or [`Device::reset_peak`](crate::Device::reset_peak) was called.
    pub peak: u64,
    /// Weights at most in the same time, those on the GPU for a short time included.
    pub peak_weights: u64,
}

/// Counts the bytes of a device's buffers and refuses those past a limit.
#[derive(Debug)]
pub(crate) struct Accounting {
    current: AtomicU64,
    peak: AtomicU64,
    weights: AtomicU64,
    peak_weights: AtomicU64,
    limit: Option<u64>,
}

/// Bytes that are counted for as long as this lives.
#[derive(Debug)]
pub(crate) struct Reserved {
    bytes: u64,
    holds: Holds,
    accounting: Arc<Accounting>,
}

impl Reserved {
    /// # Errors
    /// [`Error::Limits`] where they are past the limit.
    pub(super) fn new(accounting: &Arc<Accounting>, bytes: u64, holds: Holds) -> Result<Self> {
        accounting.add(bytes, holds)?;
        Ok(Self { bytes, holds, accounting: accounting.clone() })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.accounting.remove(self.bytes, self.holds);
    }
}

/// What a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Weights,
    Activations,
}

impl Accounting {
    pub(crate) fn new(limit: Option<u64>) -> Self {
        let [current, peak, weights, peak_weights] = [0; 4].map(AtomicU64::new);
        Self { current, peak, weights, peak_weights, limit }
    }

    pub(crate) fn limit(&self) -> Option<u64> {
        self.limit
    }

    pub(crate) fn memory_use(&self) -> MemoryUse {
        MemoryUse {
            current: self.current.load(Ordering::Relaxed),
            peak: self.peak.load(Ordering::Relaxed),
            peak_weights: self.peak_weights.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn reset_peak(&self) {
        self.peak.store(self.current.load(Ordering::Relaxed), Ordering::Relaxed);
        self.peak_weights.store(self.weights.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    fn add(&self, bytes: u64, holds: Holds) -> Result<()> {
        let current = self.current.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if let Some(limit) = self.limit.filter(|&limit| current > limit) {
            self.current.fetch_sub(bytes, Ordering::Relaxed);
            let message = format!("{current} bytes of GPU memory are needed, the limit is {limit}");
            return Err(Error::memory(current, limit, message));
        }
        self.peak.fetch_max(current, Ordering::Relaxed);
        if holds == Holds::Weights {
            let weights = self.weights.fetch_add(bytes, Ordering::Relaxed) + bytes;
            self.peak_weights.fetch_max(weights, Ordering::Relaxed);
        }
        Ok(())
    }

    fn remove(&self, bytes: u64, holds: Holds) {
        self.current.fetch_sub(bytes, Ordering::Relaxed);
        if holds == Holds::Weights {
            self.weights.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}
