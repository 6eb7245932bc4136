//! What becomes of commands: an engine runs them on a GPU, or prices them for a plan.

pub mod dry;
pub mod live;

use std::fmt::Debug;
use std::ops::Range;
use std::time::Duration;

use crate::error::Result;
use crate::gpu::command::{BufferRef, Copy, Dispatch};
use crate::gpu::download::Download;

/// What tests ask of an engine besides running commands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Probe {
    /// Fills every new tensor and [`GUARD_BYTES`](crate::gpu::recorder::GUARD_BYTES) after it with
    /// [`POISON`](crate::gpu::recorder::POISON), so that missing and stray writes show.
    pub guards: bool,
    /// Submits after this many workgroups; 0 stands for as many as time allows.
    pub slice: u32,
    /// Notes how long submissions take, for [`Recorder::submissions`](crate::gpu::Recorder::submissions).
    pub timed: bool,
}

/// Takes the commands of one recorder in their order.
pub(crate) trait Engine: Debug + wgpu::WasmNotSend {
    fn set_probe(&mut self, _: Probe) {}

    /// What is going on, for a device's profile.
    fn set_stage(&mut self, _: &'static str) {}

    /// The caller may come back any time later: what is under way tells nothing of the device's speed.
    fn pause(&mut self) {}

    /// How long the GPU will be busy with what it was given, as far as that is known.
    fn backlog(&self) -> Duration {
        Duration::ZERO
    }

    /// How long the submissions took that have ended, where a [`Probe`] asks for it.
    fn submissions(&self) -> &[Duration] {
        &[]
    }

    /// Whether buffers hold data. Where they do not, nobody needs to make any.
    fn holds_data(&self) -> bool;

    fn dispatch(&mut self, dispatch: Dispatch) -> Result<()>;

    /// Copies bytes between buffers.
    fn copy(&mut self, _: Copy) -> Result<()> {
        Ok(())
    }

    /// Copies bytes of the host's to the start of a buffer.
    fn write(&mut self, _: &BufferRef, _: &[u8]) -> Result<()> {
        Ok(())
    }

    /// The same for many bytes, in chunks through memory that is used again.
    fn stream(&mut self, target: &BufferRef, bytes: &[u8]) -> Result<()> {
        self.write(target, bytes)
    }

    /// Copies bytes of a buffer to the host once all before has run.
    fn read(&mut self, source: &BufferRef, range: Range<u64>) -> Result<Download>;

    /// A texture `Rgba8Unorm` of some rows of a buffer, from a byte on, each so many bytes after the one before; none where buffers hold no
    /// data. It is submitted with the next [`flush`](Self::flush).
    fn texture(&mut self, _: &BufferRef, _from: u64, _size: [u32; 2], _bytes_per_row: u32) -> Result<Option<wgpu::Texture>> {
        Ok(None)
    }

    /// Submits what was taken so far, and waits until few submissions are under way.
    ///
    /// # Errors
    /// [`Error::Cancelled`](crate::Error::Cancelled) where the flag was set: what was taken is then dropped.
    fn flush(&mut self) -> Result<()>;

    /// Submits what was taken so far and waits for all of it.
    fn finish(&mut self) -> Result<()> {
        self.flush()
    }
}
