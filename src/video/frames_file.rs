//! Generated frames as one tensor in a safetensors file, at full precision.

use std::io::{BufWriter, Seek, SeekFrom, Write};

use super::frame::Frame;
use super::output::Output;
use super::sink::Sink;
use crate::{Error, Result};

/// Room for the header, which is written last, when the number of frames is known. Readers skip the spaces that fill it up.
const HEADER_BYTES: usize = 248;

/// Writes the tensor `frames`, f32 `[F, height, width, 3]`.
pub(super) struct FramesFile<'w> {
    data: BufWriter<Output<'w>>,
    width: u32,
    height: u32,
    num_frames: u64,
}

impl<'w> FramesFile<'w> {
    pub(super) fn create(output: Output<'w>, width: u32, height: u32) -> Result<Self> {
        let mut data = BufWriter::new(output);
        data.write_all(&[0; 8 + HEADER_BYTES]).map_err(|e| Error::io(data.get_ref().name())(e))?;
        Ok(Self { data, width, height, num_frames: 0 })
    }

    fn write_header(&mut self) -> std::io::Result<()> {
        let Self { width, height, num_frames, .. } = *self;
        let bytes = num_frames * u64::from(width) * u64::from(height) * 3 * 4;
        let shape = format!("[{num_frames},{height},{width},3]");
        let header = format!(r#"{{"frames":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{bytes}]}}}}"#);
        self.data.seek(SeekFrom::Start(0))?;
        self.data.write_all(&(HEADER_BYTES as u64).to_le_bytes())?;
        self.data.write_all(format!("{header:HEADER_BYTES$}").as_bytes())?;
        self.data.flush()
    }
}

impl Sink for FramesFile<'_> {
    fn write(&mut self, frame: &Frame) -> Result<()> {
        let bytes: Vec<u8> = frame.samples().iter().flat_map(|sample| sample.to_le_bytes()).collect();
        self.data.write_all(&bytes).map_err(|e| Error::io(self.data.get_ref().name())(e))?;
        self.num_frames += 1;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.write_header().map_err(|e| Error::io(self.data.get_ref().name())(e))?;
        let (output, _) = self.data.into_parts();
        output.publish()
    }
}
