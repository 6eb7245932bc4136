//! Files as memory.

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;

use crate::{Error, Result};

/// Maps a whole file, which must not be changed meanwhile.
///
/// # Errors
/// [`Error::Io`] where it cannot be read; [`Error::Weights`] where it is empty.
#[allow(unsafe_code)]
pub(crate) fn map(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(Error::io(path))?;
    if file.metadata().map_err(Error::io(path))?.len() == 0 {
        return Err(Error::weights(path, "the file is empty; download it again"));
    }
    // SAFETY: the mapping is read-only and private to this process. Its bytes are only ever read as bytes, for which every value is valid. The
    // one hazard is another process changing the file meanwhile: the documentation forbids that, as no user of mapped files can
    // prevent it; cutting the file short would end this process, changing it would change weights, neither reaches other memory.
    unsafe { Mmap::map(&file) }.map_err(Error::io(path))
}
