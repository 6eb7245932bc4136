//! Folders that appear under their name only when all in them is whole.

use std::fs;
use std::path::{Path, PathBuf};

use crate::partial_file::sync_parent;
use crate::{Error, Result};

/// A folder under a temporary name beside its final one. It is deleted with all that is in it when dropped unpublished.
pub(crate) struct PartialFolder {
    path: PathBuf,
    partial: PathBuf,
}

impl PartialFolder {
    /// Creates the temporary folder, empty: what a killed process left of an earlier one is removed. Fails when the folder that it is to be in is
    /// missing or cannot be written to.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let partial = Self::name(path)?;
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(Error::io(&partial))?;
        }
        fs::create_dir(&partial).map_err(Error::io(&partial))?;
        Ok(Self { path: path.into(), partial })
    }

    /// The temporary name of a folder.
    pub(crate) fn name(path: &Path) -> Result<PathBuf> {
        let name = path.file_name().ok_or_else(|| Error::Input(format!("{}: give the name of a new folder", path.display())))?;
        let mut name = name.to_owned();
        name.push(".partial");
        Ok(path.with_file_name(name))
    }

    pub(crate) fn partial(&self) -> &Path {
        &self.partial
    }

    /// Gives the folder its final name, in place of the one that has it. That one is deleted last; the files in the new one must be on the disk.
    pub(crate) fn publish(self) -> Result<()> {
        let replaced = self.partial.with_extension("replaced");
        let had_one = self.path.exists();
        if had_one {
            fs::rename(&self.path, &replaced).map_err(Error::io(&self.path))?;
        }
        if let Err(error) = fs::rename(&self.partial, &self.path) {
            // The old one is as good as before.
            let _ = fs::rename(&replaced, &self.path);
            return Err(Error::io(&self.path)(error));
        }
        sync_parent(&self.path)?;
        if had_one {
            fs::remove_dir_all(&replaced).map_err(Error::io(&replaced))?;
        }
        Ok(())
    }
}

impl Drop for PartialFolder {
    fn drop(&mut self) {
        // After `publish` there is nothing of that name left.
        let _ = fs::remove_dir_all(&self.partial);
    }
}
