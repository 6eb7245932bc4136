//! What every kind of output does.

use super::frame::Frame;
use crate::Result;

/// One kind of output.
pub(super) trait Sink: Send {
    fn write(&mut self, frame: &Frame) -> Result<()>;
    fn finish(self: Box<Self>) -> Result<()>;
}
