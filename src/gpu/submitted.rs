//! Work that the queue was given.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A submission, and whether the GPU is known to be done with it.
#[derive(Clone, Debug)]
pub(crate) struct Submitted {
    pub(super) index: wgpu::SubmissionIndex,
    is_done: Arc<AtomicBool>,
}

impl Submitted {
    pub(super) fn new(queue: &wgpu::Queue, commands: Option<wgpu::CommandBuffer>) -> Self {
        let index = queue.submit(commands);
        let is_done = Arc::new(AtomicBool::new(false));
        let note = is_done.clone();
        queue.on_submitted_work_done(move || note.store(true, Ordering::Relaxed));
        Self { index, is_done }
    }

    /// Whether somebody polled the device since the GPU was done with it.
    pub(super) fn is_done(&self) -> bool {
        self.is_done.load(Ordering::Relaxed)
    }
}
