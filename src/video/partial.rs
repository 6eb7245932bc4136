//! Files that appear under their name only when they are whole.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// A file under a temporary name beside its final one. It is deleted when dropped unpublished.
pub(super) struct PartialFile {
    path: PathBuf,
    partial: PathBuf,
}

impl PartialFile {
    /// Creates the temporary file, empty. Fails when the folder is missing or cannot be written to.
    pub(super) fn create(path: &Path) -> Result<(Self, File)> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&partial).map_err(Error::io(path))?;
        Ok((Self { path: path.into(), partial }, file))
    }

    /// The final name.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The temporary name.
    pub(super) fn partial(&self) -> &Path {
        &self.partial
    }

    /// Gives the file its final name, replacing what had it.
    pub(super) fn publish(self) -> Result<()> {
        fs::rename(&self.partial, &self.path).map_err(Error::io(&self.path))
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        // After `publish` there is nothing of that name left.
        let _ = fs::remove_file(&self.partial);
    }
}
