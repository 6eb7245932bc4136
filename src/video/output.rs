//! Where a written video goes.

use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::Result;
use crate::partial_file::PartialFile;

/// What can be written to at any place.
pub(super) trait WriteSeek: Write + Seek + Send {}

impl<T: Write + Seek + Send> WriteSeek for T {}

/// What can be written to and read from at any place.
#[cfg(feature = "mp4")]
pub(super) trait Scratch: WriteSeek + io::Read {}

#[cfg(feature = "mp4")]
impl<T: WriteSeek + io::Read> Scratch for T {}

/// A file that appears under its name when it is whole, or what the caller gave to write to.
pub(super) struct Output<'w> {
    name: PathBuf,
    file: Option<PartialFile>,
    stream: Box<dyn WriteSeek + 'w>,
}

impl<'w> Output<'w> {
    /// A file on disk.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let (file, stream) = PartialFile::create(path)?;
        Ok(Self { name: path.into(), file: Some(file), stream: Box::new(stream) })
    }

    /// What the caller gave; errors call it by this name.
    pub(super) fn to(stream: impl Write + Seek + Send + 'w, name: &str) -> Self {
        Self { name: name.into(), file: None, stream: Box::new(stream) }
    }

    /// Its path, or what errors call it.
    pub(super) fn name(&self) -> &Path {
        &self.name
    }

    /// A place for what is only needed until it is whole: a file beside it, or memory.
    #[cfg(feature = "mp4")]
    pub(super) fn scratch(&self, ending: &str) -> Result<(Option<PartialFile>, Box<dyn Scratch>)> {
        if self.file.is_none() {
            return Ok((None, Box::new(io::Cursor::new(Vec::new()))));
        }
        let mut path = self.name.clone().into_os_string();
        path.push(ending);
        let (file, stream) = PartialFile::create(Path::new(&path))?;
        Ok((Some(file), Box::new(stream)))
    }

    /// What is written to, and what is to be published then.
    pub(super) fn split(self) -> (Box<dyn WriteSeek + 'w>, Option<PartialFile>) {
        (self.stream, self.file)
    }

    /// Gives the file its name.
    pub(super) fn publish(self) -> Result<()> {
        drop(self.stream);
        self.file.map_or(Ok(()), PartialFile::publish)
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Seek for Output<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.stream.seek(to)
    }
}
