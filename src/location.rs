//! Files and folders, on disk or in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::content::{Content, ReadSeek};
use crate::error::{Error, Result};

/// Where a file or a folder is: on disk, or in memory. All that opens one takes a path as well.
///
/// ```no_run
/// use wan_animate::{AnimatePipeline, Content, Location};
///
/// # fn open(device: &wan_animate::Device, parts: Vec<(String, Vec<u8>)>) -> wan_animate::Result<()> {
/// let folder = Location::folder("my model", parts); // ("model_index.json", ..), ("vae/config.json", ..), ..
/// let pipeline = AnimatePipeline::builder(device).checkpoint(folder).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Location {
    path: PathBuf,
    /// What is in memory, by its whole path.
    held: Option<Arc<BTreeMap<PathBuf, Content>>>,
}

impl<P: AsRef<Path>> From<P> for Location {
    fn from(path: P) -> Self {
        Self { path: path.as_ref().into(), held: None }
    }
}

impl From<&Self> for Location {
    fn from(location: &Self) -> Self {
        location.clone()
    }
}

impl Location {
    /// A file in memory, or one that a reader reads. Errors call it by this name.
    pub fn file(name: impl Into<PathBuf>, content: impl Into<Content>) -> Self {
        let path = name.into();
        Self { held: Some(Arc::new(BTreeMap::from([(path.clone(), content.into())]))), path }
    }

    /// A folder of files in memory, each by its path in the folder, such as `transformer/config.json`. Errors call the folder by this name.
    pub fn folder<N: AsRef<Path>, C: Into<Content>>(name: impl Into<PathBuf>, files: impl IntoIterator<Item = (N, C)>) -> Self {
        let path = name.into();
        let relative = |name: N| name.as_ref().strip_prefix("/").unwrap_or(name.as_ref()).to_owned();
        let files = files.into_iter().map(|(name, content)| (path.join(relative(name)), content.into()));
        Self { held: Some(Arc::new(files.collect())), path }
    }

    /// Its path, or its name in memory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of what is on disk.
    pub(crate) fn on_disk(&self) -> Option<&Path> {
        self.held.is_none().then_some(&self.path)
    }

    /// What has this path, on disk or in memory as this.
    pub(crate) fn at(&self, path: PathBuf) -> Self {
        Self { path, held: self.held.clone() }
    }

    /// What has this name in the folder.
    pub(crate) fn join(&self, name: impl AsRef<Path>) -> Self {
        self.at(self.path.join(name))
    }

    /// What has this name in the folder of the file.
    pub(crate) fn beside(&self, name: impl AsRef<Path>) -> Self {
        self.at(self.path.with_file_name(name.as_ref()))
    }

    /// Whether it is a folder that is there.
    pub(crate) fn is_dir(&self) -> bool {
        self.is_folder().unwrap_or(false)
    }

    /// Whether it is a file that is there.
    pub(crate) fn is_file(&self) -> bool {
        self.held.as_ref().map_or_else(|| self.path.is_file(), |held| held.contains_key(&self.path))
    }

    /// Whether it is there.
    pub(crate) fn exists(&self) -> bool {
        self.is_folder().is_ok()
    }

    /// Whether it is a folder, not a file.
    ///
    /// # Errors
    /// [`Error::Io`] where it is not there.
    pub(crate) fn is_folder(&self) -> Result<bool> {
        match &self.held {
            None => Ok(fs::metadata(&self.path).map_err(Error::io(&self.path))?.is_dir()),
            Some(held) if held.contains_key(&self.path) => Ok(false),
            Some(held) if held.keys().any(|file| file.starts_with(&self.path)) => Ok(true),
            Some(_) => Err(self.absent()),
        }
    }

    /// The names of all in the folder, in order.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        match &self.held {
            None => {
                for entry in fs::read_dir(&self.path).map_err(Error::io(&self.path))? {
                    let name = entry.map_err(Error::io(&self.path))?.file_name();
                    names
                        .push(name.into_string().map_err(|name| {
                            Error::Input(format!("{}: the name of {name:?} is no text; rename it", self.path.display()))
                        })?);
                }
            }
            Some(held) => {
                let below = held.keys().filter_map(|file| file.strip_prefix(&self.path).ok()?.iter().next());
                names.extend(below.map(|name| name.to_string_lossy().into_owned()));
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read; [`Error::Weights`] where it is empty.
    pub(crate) fn open(&self) -> Result<Content> {
        match &self.held {
            None => Content::open(&self.path),
            Some(held) => held.get(&self.path).cloned().ok_or_else(|| self.absent()),
        }
    }

    /// A reader of the file, which may grow or shrink meanwhile.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read.
    pub(crate) fn reader(&self) -> Result<Box<dyn ReadSeek>> {
        match &self.held {
            None => Ok(Box::new(File::open(&self.path).map_err(Error::io(&self.path))?)),
            Some(_) => Ok(Box::new(self.open()?.cursor())),
        }
    }

    fn absent(&self) -> Error {
        Error::io(&self.path)(io::Error::new(io::ErrorKind::NotFound, "no such file in memory"))
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:?}{}", self.path, if self.held.is_some() { " in memory" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_memory_has_files_and_folders() {
        let folder = Location::folder("model", [("a/config.json", vec![1]), ("b.json", vec![2])]);
        assert_eq!(folder.names().expect("a folder"), ["a", "b.json"]);
        assert!(folder.is_dir() && folder.join("a").is_dir() && !folder.join("b.json").is_dir() && !folder.join("c").exists());
        let file = folder.join("a").join("config.json");
        assert_eq!(file.open().expect("there").whole(), Some(&[1u8][..]));
        assert_eq!(file.beside("x").path(), Path::new("model/a/x"));
        let error = folder.join("c").open().expect_err("absent").to_string();
        assert!(error.starts_with("model/c: no such file in memory"), "{error}");
    }
}
