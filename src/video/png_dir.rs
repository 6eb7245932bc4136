//! A directory of PNG files as output.

use std::fs;
use std::path::{Path, PathBuf};

use image::ImageFormat;

use super::frame::Frame;
use super::sink::Sink;
use crate::partial_file::PartialFile;
use crate::{Error, Result};

/// Writes `000000.png`, `000001.png` and so on.
pub(super) struct PngDir {
    path: PathBuf,
    num_frames: usize,
}

impl PngDir {
    pub(super) fn create(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).map_err(Error::io(path))?;
        Ok(Self { path: path.into(), num_frames: 0 })
    }

    fn file(&self, index: usize) -> PathBuf {
        self.path.join(format!("{index:06}.png"))
    }
}

impl Sink for PngDir {
    fn write(&mut self, frame: &Frame) -> Result<()> {
        let path = self.file(self.num_frames);
        let mut png = std::io::Cursor::new(Vec::new());
        let failed = |e: image::ImageError| Error::Input(format!("{}: {e}", path.display()));
        frame.to_rgb8().write_to(&mut png, ImageFormat::Png).map_err(failed)?;
        let (file, _) = PartialFile::create(&path)?;
        fs::write(file.partial(), png.into_inner()).map_err(Error::io(&path))?;
        file.publish()?;
        self.num_frames += 1;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let left_over = (self.num_frames..).map(|index| self.file(index)).take_while(|file| file.exists());
        left_over.into_iter().try_for_each(|file| fs::remove_file(&file).map_err(Error::io(&file)))
    }
}
