//! Compiled kernels, each made once for a device.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;

/// How a slot's elements lie in its buffer, and so how its accessors are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// No tensor: loads give zeros.
    Absent,
    /// f32, read one by one: for rows that are no multiple of four.
    F32,
    /// f32 in vec4s.
    F32x4,
    /// f16 in vec4s, two to a word.
    F16x4,
    /// bf16 in vec4s, two to a word.
    Bf16x4,
    /// u32, read one by one: indices.
    U32,
    /// f16 in vec4s as such, in the array `NAME_data`: for kernels that need f16 anyway.
    NativeF16x4,
    /// u32 in vec4s, for the kernel to make of them what it will, in the array `NAME_data`.
    U32x4,
    /// 16-bit elements whose rows are no multiple of four. No slot takes it, so that [`Recorder`](crate::gpu::Recorder)
    /// refuses such a tensor.
    Odd16,
}

/// What tells one pipeline from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PipelineKey {
    /// The kernel's name.
    pub kernel: &'static str,
    /// The element format of each slot.
    pub elements: Vec<Element>,
    /// Tile and variant.
    pub constants: Vec<(&'static str, u32)>,
}

#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) pipeline: wgpu::ComputePipeline,
    pub(crate) layout: wgpu::BindGroupLayout,
}

/// The pipelines of a device.
#[derive(Debug, Default)]
pub(crate) struct PipelineCache(Mutex<HashMap<PipelineKey, Arc<Pipeline>>>);

impl PipelineCache {
    /// The pipeline of a key, made by `build` when it is asked for the first time.
    pub(crate) fn get(&self, key: &PipelineKey, build: impl FnOnce() -> Result<Pipeline>) -> Result<Arc<Pipeline>> {
        let mut pipelines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = pipelines.get(key) {
            return Ok(pipeline.clone());
        }
        let pipeline = Arc::new(build()?);
        pipelines.insert(key.clone(), pipeline.clone());
        Ok(pipeline)
    }

    /// What there is so far.
    pub(crate) fn keys(&self) -> Vec<PipelineKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}
