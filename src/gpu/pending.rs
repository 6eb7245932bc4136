//! Waiting for the GPU: a future that a callback of wgpu's completes, and the one blocking wait over it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::{Error, Result};
use crate::gpu::device::Device;

/// What the GPU, or a driver, will have done. In a browser, which drives the device by itself, it is awaited; elsewhere
/// [`Pending::wait`] drives the device.
#[derive(Debug)]
pub(crate) struct Pending {
    device: Device,
    /// What has to end before; none for everything submitted so far.
    submission: Option<wgpu::SubmissionIndex>,
    /// Whether that is all.
    is_submission: bool,
    signal: Arc<Mutex<Signal>>,
}

#[derive(Debug, Default)]
struct Signal {
    result: Option<Result<(), wgpu::BufferAsyncError>>,
    waker: Option<Waker>,
}

impl Pending {
    /// The end of a submission that was just made.
    pub(super) fn submission(device: &Device, submission: wgpu::SubmissionIndex) -> Self {
        let pending = Self { device: device.clone(), submission: Some(submission), is_submission: true, signal: Arc::default() };
        let signal = pending.signal.clone();
        device.wgpu_queue().on_submitted_work_done(move || complete(&signal, Ok(())));
        pending
    }

    /// A buffer's bytes, readable on the host once the submission has ended that writes them.
    pub(super) fn mapping(device: &Device, buffer: &wgpu::Buffer, submission: Option<wgpu::SubmissionIndex>) -> Self {
        let pending = Self { device: device.clone(), submission, is_submission: false, signal: Arc::default() };
        let signal = pending.signal.clone();
        buffer.map_async(wgpu::MapMode::Read, .., move |result| complete(&signal, result));
        pending
    }

    fn signal(&self) -> MutexGuard<'_, Signal> {
        self.signal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn result(&self) -> Option<Result<()>> {
        let result = self.signal().result.clone()?;
        Some(result.map_err(|error| Error::Device(format!("cannot read back: {error}"))))
    }

    /// Blocks until it is done.
    ///
    /// # Errors
    /// [`Error::Device`] where the device is lost meanwhile.
    pub(super) fn wait(&self) -> Result<()> {
        loop {
            let poll = wgpu::PollType::Wait { submission_index: self.submission.clone(), timeout: None };
            let polled = self.device.checked("waiting for the GPU", || self.device.wgpu_device().poll(poll))?;
            polled.map_err(|error| Error::Device(format!("waiting for the GPU failed: {error}")))?;
            match self.result() {
                Some(done) => return done,
                // The callback may wait for what others have submitted to the queue meanwhile.
                None if self.is_submission => return Ok(()),
                // Another thread that polls the device may be about to call it.
                None => std::thread::yield_now(),
            }
        }
    }
}

impl Future for Pending {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, context: &mut Context) -> Poll<Result<()>> {
        self.signal().waker = Some(context.waker().clone());
        self.result().map_or(Poll::Pending, Poll::Ready)
    }
}

fn complete(signal: &Mutex<Signal>, result: Result<(), wgpu::BufferAsyncError>) {
    let mut signal = signal.lock().unwrap_or_else(PoisonError::into_inner);
    signal.result = Some(result);
    if let Some(waker) = signal.waker.take() {
        waker.wake();
    }
}
