//! What networks found, kept in a folder under digests of what it depends on.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::driving::found_file::Finding;
use crate::error::{Error, Result};
use crate::networks::{NetworkFiles, Search};
use crate::partial_file::PartialFile;
use crate::video::Frames;

/// What networks find in one video.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    digest: Digest,
}

impl Cache {
    /// The folder is made if there is none, so that a wrong one shows before networks work.
    ///
    /// # Errors
    /// Those of the folder and of the video.
    pub(super) fn of(folder: &Path, video: &Frames, files: &NetworkFiles) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let mut digest = files.digest();
        digest.add(format!("{:?} {:?}", video.size(), video.fps()).as_bytes());
        for index in 0..video.num_frames() {
            digest.add(video.read(index)?.as_raw());
        }
        Ok(Self { folder: folder.into(), digest })
    }

    /// Where it is kept what a search came to.
    pub(super) fn entry(&self, search: &Search) -> Entry {
        let mut digest = self.digest;
        digest.add(format!("{search:?}").as_bytes());
        Entry { file: self.folder.join(format!("found-{digest}.safetensors")) }
    }
}

/// A place in the folder.
#[derive(Debug)]
pub(super) struct Entry {
    file: PathBuf,
}

impl Entry {
    /// What is there. A file that is none of ours, or a damaged one, is passed over.
    pub(super) fn load(&self) -> Option<Finding> {
        let finding = Finding::from_bytes(fs::read(&self.file).ok()?);
        if finding.is_none() {
            log::warn!("{}: nothing that networks found; they look again", self.file.display());
        }
        finding
    }

    /// Keeps what was found. It is there when it is whole.
    pub(super) fn store(&self, finding: &Finding) -> Result<()> {
        let (partial, mut file) = PartialFile::create(&self.file)?;
        file.write_all(finding.bytes()).map_err(Error::io(&self.file))?;
        partial.publish()
    }
}
