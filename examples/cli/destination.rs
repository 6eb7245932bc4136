//! Where the result goes, and how it is written.

use std::path::{Path, PathBuf};

use clap::Args;
use wan_animate::video::{Effort, VideoOptions};
use wan_animate::{Error, Result};

#[derive(Args, Debug)]
pub struct Destination {
    /// Where the result goes: a file that ends in .mp4, .mov, .gif, .safetensors or (where built with the feature `webm`) .webm, or a
    /// directory for PNG files. --plan needs none.
    #[arg(long, value_name = "PATH", required_unless_present = "plan")]
    out: Option<PathBuf>,
    /// How near the frames in MP4, MOV and WebM files are to those that were made: 1 to 100; 90 is hardly told from lossless.
    #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: u8,
    /// How much work goes into making MP4, MOV and WebM files small: fast, balanced or small.
    #[arg(long, value_name = "NAME", default_value = "balanced")]
    effort: Effort,
}

impl Destination {
    pub fn path(&self) -> Result<&Path> {
        self.out.as_deref().ok_or_else(|| Error::Input("--out is missing, the place for the result".into()))
    }

    pub fn options(&self) -> VideoOptions {
        VideoOptions::default().quality(self.quality).effort(self.effort)
    }

    /// Refuses to write over what is read: the same file, a folder that is read from, or the folder of an image.
    pub fn check_input(&self, input: &Path) -> Result<()> {
        let Some(output) = &self.out else { return Ok(()) };
        let (Ok(output), Ok(input)) = (output.canonicalize(), input.canonicalize()) else { return Ok(()) };
        if output != input && (!output.is_dir() || input.parent() != Some(&output)) {
            return Ok(());
        }
        let message = "is read from, and frames would be written over what is there; choose another place for the result";
        Err(Error::Input(format!("{}: {message}", output.display())))
    }
}
