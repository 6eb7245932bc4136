//! Prices commands, and runs none.

use std::ops::Range;

use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::gpu::command::{BufferRef, Dispatch};
use crate::gpu::engine::Engine;
use crate::gpu::{device::Device, download::Download};

/// Of a [dry](Device::dry) device: its [`Rehearsal`](crate::gpu::Rehearsal) has the sums.
#[derive(Debug)]
pub(crate) struct DryEngine {
    device: Device,
    cancel: Cancel,
}

impl DryEngine {
    pub(crate) fn new(device: &Device, cancel: Cancel) -> Self {
        Self { device: device.clone(), cancel }
    }
}

impl Engine for DryEngine {
    fn holds_data(&self) -> bool {
        false
    }

    fn dispatch(&mut self, dispatch: Dispatch) -> Result<()> {
        let rehearsal = self.device.rehearsal().expect("a dry engine is that of a dry device");
        rehearsal.dispatch(self.device.limits(), &dispatch)
    }

    fn read(&mut self, _: &BufferRef, range: Range<u64>) -> Result<Download> {
        Ok(Download::new((range.end - range.start) as usize, None))
    }

    fn flush(&mut self) -> Result<()> {
        match self.cancel.is_cancelled() {
            true => Err(Error::Cancelled),
            false => Ok(()),
        }
    }
}
