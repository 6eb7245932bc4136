//! Generated frames as one tensor in a safetensors file, at full precision.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use super::frame::Frame;
use super::sink::Sink;
use crate::partial_file::PartialFile;
use crate::{Error, Result};

/// Room for the header, which is written last, when the number of frames is known. Readers skip the spaces that fill it up.
const HEADER_BYTES: usize = 248;

/// Writes the tensor `frames`, f32 `[F, height, width, 3]`.
pub(super) struct FramesFile {
    file: PartialFile,
    data: BufWriter<File>,
    width: u32,
    height: u32,
    num_frames: u64,
}

impl FramesFile {
    pub(super) fn create(path: &Path, width: u32, height: u32) -> Result<Self> {
        let (file, handle) = PartialFile::create(path)?;
        let mut data = BufWriter::new(handle);
        data.write_all(&[0; 8 + HEADER_BYTES]).map_err(Error::io(path))?;
        Ok(Self { file, data, width, height, num_frames: 0 })
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

impl Sink for FramesFile {
    fn write(&mut self, frame: &Frame) -> Result<()> {
        let bytes: Vec<u8> = frame.samples().iter().flat_map(|sample| sample.to_le_bytes()).collect();
        self.data.write_all(&bytes).map_err(Error::io(self.file.path()))?;
        self.num_frames += 1;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.write_header().map_err(Error::io(self.file.path()))?;
        self.file.publish()
    }
}
