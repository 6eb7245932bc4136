//! The bytes of a file, wherever they are.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};

/// What can be read from any place.
pub(crate) trait ReadSeek: Read + Seek + Send {}

impl<T: Read + Seek + Send> ReadSeek for T {}

/// The bytes of a file: mapped from the disk, in memory, or behind a reader that is asked for them when they are needed. Cheap to clone.
///
/// ```
/// use wan_animate::Content;
///
/// let _of_bytes = Content::from(vec![1, 2, 3]);
/// let _of_the_program: Content = Content::from(&b"included"[..]);
/// let _of_a_reader = Content::reader(std::io::Cursor::new(vec![1, 2, 3]))?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Content(Arc<Source>);

enum Source {
    #[cfg(feature = "mmap")]
    Mapped(memmap2::Mmap),
    Memory(Box<dyn AsRef<[u8]> + Send + Sync>),
    Reader {
        reader: Mutex<Box<dyn ReadSeek>>,
        length: usize,
    },
}

impl Content {
    /// Of anything that can be read from any place, such as a file within an archive.
    ///
    /// # Errors
    /// Those of the reader, which is asked for its length.
    pub fn reader(mut reader: impl Read + Seek + Send + 'static) -> io::Result<Self> {
        let length = reader.seek(SeekFrom::End(0))?;
        let length = usize::try_from(length).map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "too long for this machine"))?;
        Ok(Self(Arc::new(Source::Reader { reader: Mutex::new(Box::new(reader)), length })))
    }

    /// Of a file on disk, which must not be changed meanwhile.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read; [`Error::Weights`] where it is empty.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        if file.metadata().map_err(Error::io(path))?.len() == 0 {
            return Err(Error::weights(path, "the file is empty; download it again"));
        }
        Self::of(file).map_err(Error::io(path))
    }

    #[cfg(not(feature = "mmap"))]
    fn of(file: File) -> io::Result<Self> {
        Self::reader(file)
    }

    #[cfg(feature = "mmap")]
    #[allow(unsafe_code)]
    fn of(file: File) -> io::Result<Self> {
        // SAFETY: the mapping is read-only and private to this process. Its bytes are only ever read as bytes, for which every value is valid. The
        // one hazard is another process changing the file meanwhile: the documentation forbids that, as no user of mapped files can
        // prevent it; cutting the file short would end this process, changing it would change weights, neither reaches other memory.
        let map = unsafe { memmap2::Mmap::map(&file) }?;
        Ok(Self(Arc::new(Source::Mapped(map))))
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        match &*self.0 {
            Source::Reader { length, .. } => *length,
            _ => self.whole().map_or(0, <[u8]>::len),
        }
    }

    /// All bytes, where they are in memory or mapped there.
    pub(crate) fn whole(&self) -> Option<&[u8]> {
        match &*self.0 {
            #[cfg(feature = "mmap")]
            Source::Mapped(map) => Some(map),
            Source::Memory(bytes) => Some((**bytes).as_ref()),
            Source::Reader { .. } => None,
        }
    }

    /// The same with all bytes in memory or mapped there.
    pub(crate) fn loaded(self) -> io::Result<Self> {
        if self.whole().is_some() {
            return Ok(self);
        }
        Ok(self.bytes(0..self.len())?.into_owned().into())
    }

    /// Some of the bytes. What is beyond the end is an error.
    pub(crate) fn bytes(&self, range: Range<usize>) -> io::Result<Cow<'_, [u8]>> {
        if range.start > range.end || range.end > self.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Source::Reader { reader, .. } = &*self.0 else {
            return Ok(Cow::Borrowed(&self.whole().unwrap_or_default()[range]));
        };
        let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = vec![0; range.len()];
        reader.seek(SeekFrom::Start(range.start as u64))?;
        reader.read_exact(&mut bytes)?;
        Ok(Cow::Owned(bytes))
    }

    /// At most so many of the first bytes.
    pub(crate) fn head(&self, most: usize) -> io::Result<Cow<'_, [u8]>> {
        self.bytes(0..self.len().min(most))
    }

    /// Gives memory that bytes were read into back to the system, which reads them again if they are asked for again.
    #[cfg_attr(not(all(unix, feature = "mmap")), expect(unused_variables, clippy::unused_self))]
    #[allow(unsafe_code)]
    pub(crate) fn release(&self, range: &Range<usize>) {
        #[cfg(all(unix, feature = "mmap"))]
        if let Source::Mapped(map) = &*self.0 {
            // SAFETY: the mapping is shared, and read-only, so its pages hold nothing but what the file holds: those that are dropped are read from
            // it again when they are touched, and what references to them see does not change. A refusal changes nothing.
            let _ = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len()) };
        }
    }

    /// A reader of its own, from the first byte on.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor { content: self.clone(), at: 0 }
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Source::Memory(Box::new(bytes))))
    }
}

impl From<&'static [u8]> for Content {
    fn from(bytes: &'static [u8]) -> Self {
        Self(Arc::new(Source::Memory(Box::new(bytes))))
    }
}

impl From<Arc<[u8]>> for Content {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self(Arc::new(Source::Memory(Box::new(bytes))))
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Content({} bytes)", self.len())
    }
}

/// Reads a content from any place.
pub(crate) struct Cursor {
    content: Content,
    at: u64,
}

impl Read for Cursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let begin = usize::try_from(self.at).unwrap_or(usize::MAX).min(self.content.len());
        let count = buffer.len().min(self.content.len() - begin);
        buffer[..count].copy_from_slice(&self.content.bytes(begin..begin + count)?);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Cursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::End(offset) => (self.content.len() as u64).checked_add_signed(offset),
            SeekFrom::Current(offset) => self.at.checked_add_signed(offset),
        };
        self.at = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_the_same_wherever_they_are() {
        let bytes: Vec<u8> = (0..100).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("bytes");
        std::fs::write(&file, &bytes).expect("written");
        let reader = Content::reader(io::Cursor::new(bytes.clone())).expect("a length");
        for content in [bytes.clone().into(), reader, Content::open(&file).expect("open")] {
            assert_eq!(content.len(), 100);
            assert_eq!(&*content.bytes(7..20).expect("in it"), &bytes[7..20]);
            content.release(&(7..20));
            assert_eq!(&*content.head(3).expect("in it"), &bytes[..3]);
            assert!(content.bytes(90..101).is_err());
            let (mut cursor, mut end) = (content.cursor(), Vec::new());
            cursor.seek(SeekFrom::End(-4)).expect("in it");
            cursor.read_to_end(&mut end).expect("read");
            assert_eq!(end, &bytes[96..]);
            assert!(cursor.seek(SeekFrom::Current(-101)).is_err());
        }
    }
}
