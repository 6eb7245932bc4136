//! Bytes that the GPU will have written: a future that a callback of wgpu's completes, and a blocking wait over it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::Result;
use crate::gpu::{device::Device, submitted::Submitted};

/// A buffer's bytes on their way to the host. In a browser, which drives the device by itself, it is awaited; elsewhere somebody has to poll
/// the device meanwhile, as [`Pending::wait`] does.
#[derive(Debug)]
pub(crate) struct Pending {
    device: Device,
    /// What has to end before; none for everything submitted so far.
    submission: Option<Submitted>,
    signal: Arc<Mutex<Signal>>,
}

#[derive(Debug, Default)]
struct Signal {
    result: Option<Result<Vec<u8>, String>>,
    waker: Option<Waker>,
}

impl Pending {
    /// The bytes of a buffer for reading back, once the submission has ended that writes them. They are copied as soon as they are here, so
    /// that they outlive the device.
    pub(super) fn mapping(device: &Device, buffer: &wgpu::Buffer, submission: Option<Submitted>) -> Self {
        let pending = Self { device: device.clone(), submission, signal: Arc::default() };
        let (signal, mapped) = (pending.signal.clone(), buffer.clone());
        buffer.map_async(wgpu::MapMode::Read, .., move |result| {
            let bytes = result.map_err(|error| error.to_string());
            let bytes = bytes.and_then(|()| mapped.get_mapped_range(..).map(|view| view.to_vec()).map_err(|error| error.to_string()));
            mapped.unmap();
            complete(&signal, bytes);
        });
        pending
    }

    fn signal(&self) -> MutexGuard<'_, Signal> {
        self.signal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `take` makes of the bytes, if they are here.
    fn arrived<T>(&self, take: impl FnOnce(&[u8]) -> T) -> Option<Result<T>> {
        let arrived = self.signal().result.as_ref()?.as_ref().map(|bytes| take(bytes)).map_err(String::clone);
        Some(arrived.map_err(|error| self.device.fault("reading back", format!("cannot read back: {error}"))))
    }

    /// Blocks until they are here, and gives what `take` makes of them.
    ///
    /// # Errors
    /// [`Error::DeviceLost`](crate::Error::DeviceLost) where the device was lost before.
    pub(super) fn wait<T>(&self, take: impl Fn(&[u8]) -> T) -> Result<T> {
        loop {
            if let Some(taken) = self.arrived(&take) {
                return taken;
            }
            self.device.wait(self.submission.as_ref())?;
            // Another thread that polls the device may be about to call back.
            std::thread::yield_now();
        }
    }
}

impl Future for Pending {
    type Output = Result<Vec<u8>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context) -> Poll<Result<Vec<u8>>> {
        self.signal().waker = Some(context.waker().clone());
        self.arrived(<[u8]>::to_vec).map_or(Poll::Pending, Poll::Ready)
    }
}

fn complete(signal: &Mutex<Signal>, result: Result<Vec<u8>, String>) {
    let mut signal = signal.lock().unwrap_or_else(PoisonError::into_inner);
    signal.result = Some(result);
    if let Some(waker) = signal.waker.take() {
        waker.wake();
    }
}
