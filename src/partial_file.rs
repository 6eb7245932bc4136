//! Files that appear under their name only when they are whole.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// A file under a temporary name beside its final one. It is deleted when dropped unpublished.
pub(crate) struct PartialFile {
    path: PathBuf,
    partial: PathBuf,
}

impl PartialFile {
    /// Creates the temporary file, empty. Fails when the folder is missing or cannot be written to.
    pub(crate) fn create(path: &Path) -> Result<(Self, File)> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&partial).map_err(Error::io(path))?;
        Ok((Self { path: path.into(), partial }, file))
    }

    pub(crate) fn partial(&self) -> &Path {
        &self.partial
    }

    /// Gives the file its final name, replacing what had it.
    pub(crate) fn publish(self) -> Result<()> {
        fs::rename(&self.partial, &self.path).map_err(Error::io(&self.path))
    }

    /// [`publish`](Self::publish), and what is under the name is whole even after a loss of power.
    pub(crate) fn publish_durably(self, file: &File) -> Result<()> {
        file.sync_all().map_err(Error::io(&self.path))?;
        let path = self.path.clone();
        self.publish()?;
        sync_parent(&path)
    }
}

/// Waits until the names in the folder of `path` are on the disk. Only Unix lets a folder be opened and synced; elsewhere they are as durable as the
/// system makes them.
pub(crate) fn sync_parent(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match cfg!(unix) {
        true => File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io(folder)),
        false => Ok(()),
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        // After `publish` there is nothing of that name left.
        let _ = fs::remove_file(&self.partial);
    }
}
